//! Whom requests that leave here trust over TLS.

use std::sync::Arc;

/// Trust in the roots that browsers trust, whatever is installed on this machine.
///
/// # Errors
/// Where the cryptography knows no version of TLS that is safe.
pub fn outgoing_tls() -> Result<rustls::ClientConfig, rustls::Error> {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}
