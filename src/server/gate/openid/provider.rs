//! What the provider says of itself, and what it says of whoever comes back from it.
//!
//! It is asked for its addresses and keys when somebody first signs in, and again where its keys no longer fit: a provider
//! that is away holds up nothing else.

use std::time::{Duration, Instant, SystemTime};

use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreGenderClaim, CoreIdToken,
    CoreProviderMetadata, CoreTokenResponse,
};
use openidconnect::{
    AccessTokenHash, AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, IssuerUrl, Nonce, OAuth2TokenResponse as _,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, SignatureVerificationError,
    SubjectIdentifier, TokenResponse as _,
};
use tokio::sync::Mutex;

use super::attempt::Attempt;
use super::claims::Claims;
use super::outgoing;
use crate::config::{GroupRoles, OpenIdConfig};
use crate::engine::LogLimit;
use crate::protocol::SignInRefusal;

/// Where people come back to.
pub const CALLBACK_PATH: &str = "/login/openid/callback";
/// For so long what the provider says of itself is believed without asking again.
const FRESH_FOR: Duration = Duration::from_secs(60 * 60);
/// It is asked for newer keys at most so often.
const RENEWED_EVERY: Duration = Duration::from_secs(10);
/// After it could not be reached it is left alone for so long.
const LEFT_ALONE_FOR: Duration = Duration::from_secs(2);
/// By so much its clock may differ from that of here.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// The provider, and what is agreed with it.
pub struct OpenId {
    /// What people call it.
    pub title: String,
    /// Its address, as it is written by itself.
    pub issuer: String,
    /// What groups become.
    pub roles: GroupRoles,
    /// The claim with the groups.
    pub groups_claim: String,
    /// The claim with the name.
    pub name_claim: String,
    /// How long a session lasts that it has let in, in milliseconds.
    pub session_ms: i64,
    at: IssuerUrl,
    client_id: ClientId,
    client_secret: Option<ClientSecret>,
    redirect: RedirectUrl,
    scopes: Vec<Scope>,
    http: reqwest::Client,
    known: Mutex<Known>,
}

/// What is known of the provider. Held while it is asked, so that it is asked once.
#[derive(Default)]
struct Known {
    metadata: Option<CoreProviderMetadata>,
    asked_at: Option<Instant>,
    renewed_at: Option<Instant>,
    failed_at: Option<Instant>,
}

/// Which knowledge is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// Of lately.
    Fresh,
    /// Newer keys than those.
    NewKeys,
}

impl OpenId {
    /// None where the settings name no provider.
    ///
    /// # Errors
    /// In words, what cannot be used.
    pub fn new(config: &OpenIdConfig, base_url: Option<&str>) -> Result<Option<Self>, String> {
        let (Some(issuer), Some(client_id)) = (&config.issuer, &config.client_id) else { return Ok(None) };
        let base =
            base_url.ok_or("[sign_in.openid] needs server.base_url: the provider sends people back there")?;
        let redirect = RedirectUrl::new(format!("{base}{CALLBACK_PATH}"));
        let at = IssuerUrl::new(issuer.clone()).map_err(|error| format!("sign_in.openid.issuer: {error}"))?;
        let host = at.url().host_str().unwrap_or(issuer).to_owned();
        let client_secret = config.client_secret()?.map(ClientSecret::new);
        Ok(Some(Self {
            title: config.title.clone().unwrap_or(host),
            issuer: issuer.clone(),
            roles: config.roles.clone(),
            groups_claim: config.groups_claim.clone(),
            name_claim: config.name_claim.clone(),
            session_ms: i64::from(config.session_hours) * 60 * 60 * 1_000,
            at,
            client_id: ClientId::new(client_id.clone()),
            client_secret,
            redirect: redirect.map_err(|error| format!("server.base_url: {error}"))?,
            scopes: config
                .scopes
                .iter()
                .filter(|scope| *scope != "openid")
                .cloned()
                .map(Scope::new)
                .collect(),
            http: outgoing::client()?,
            known: Mutex::default(),
        }))
    }

    /// Where the browser with this secret is sent for `attempt`.
    ///
    /// # Errors
    /// `Away`.
    pub async fn address_of(&self, attempt: &Attempt, browser: &str) -> Result<String, SignInRefusal> {
        let client = self.client(Wanted::Fresh).await?;
        let (state, nonce) = (CsrfToken::new(attempt.state.clone()), Nonce::new(attempt.nonce(browser)));
        let verifier = PkceCodeVerifier::new(attempt.verifier(browser));
        let request = client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, move || state, move || nonce)
            .add_scopes(self.scopes.iter().cloned())
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        Ok(request.url().0.into())
    }

    /// What the provider says of whoever comes back with `code`.
    ///
    /// # Errors
    /// `Away`, or `Invalid` where it cannot be believed.
    pub async fn claims_of(
        &self,
        attempt: &Attempt,
        browser: &str,
        code: String,
    ) -> Result<Claims, SignInRefusal> {
        let http = |request| outgoing::send(self.http.clone(), request);
        let client = self.client(Wanted::Fresh).await?;
        let exchange = client.exchange_code(AuthorizationCode::new(code)).map_err(|error| unclear(&error))?;
        let verifier = PkceCodeVerifier::new(attempt.verifier(browser));
        let answer = exchange.set_pkce_verifier(verifier).request_async(&http).await;
        let answer: CoreTokenResponse = answer.map_err(|error| match &error {
            RequestTokenError::Request(_) => away(&error),
            RequestTokenError::ServerResponse(said) => {
                tracing::info!(error = ?said.error(), "the provider does not take the code of a sign-in");
                SignInRefusal::Invalid
            }
            RequestTokenError::Parse(..) | RequestTokenError::Other(_) => unclear(&error),
        })?;
        let token = answer.id_token().ok_or(SignInRefusal::Invalid)?;
        let nonce = Nonce::new(attempt.nonce(browser));
        match verify(&client, token, &answer, &nonce) {
            Err(ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey | SignatureVerificationError::CryptoError(_),
            )) => {
                let renewed = self.client(Wanted::NewKeys).await?;
                verify(&renewed, token, &answer, &nonce).map_err(|error| unclear(&error))?;
            }
            verified => verified.map_err(|error| unclear(&error))?,
        }
        let mut claims = Claims::of_token(&token.to_string()).ok_or(SignInRefusal::Invalid)?;
        let says_all = claims.has(&self.groups_claim) && claims.name(&self.name_claim).is_some();
        if !says_all && client.user_info_url().is_some() {
            let subject = claims.subject().ok_or(SignInRefusal::Invalid)?.to_owned();
            let asked =
                client.user_info(answer.access_token().clone(), Some(SubjectIdentifier::new(subject)));
            let asked = asked.map_err(|error| unclear(&error))?;
            let more = asked.request_async::<Claims, _, CoreGenderClaim>(&http).await;
            let more = more.map_err(|error| unclear(&error))?;
            let more = serde_json::to_value(&more).and_then(serde_json::from_value);
            claims.complete(more.map_err(|error| unclear(&error))?);
        }
        Ok(claims)
    }

    /// A client by what is known of the provider, which is asked where that is not enough.
    async fn client(&self, wanted: Wanted) -> Result<Client, SignInRefusal> {
        let metadata = self.metadata(wanted).await?;
        let methods = metadata.token_endpoint_auth_methods_supported();
        let by_header =
            methods.is_none_or(|methods| methods.contains(&CoreClientAuthMethod::ClientSecretBasic));
        let by = if by_header { AuthType::BasicAuth } else { AuthType::RequestBody };
        let (id, secret) = (self.client_id.clone(), self.client_secret.clone());
        let client = CoreClient::from_provider_metadata(metadata, id, secret);
        Ok(client.set_redirect_uri(self.redirect.clone()).set_auth_type(by))
    }

    async fn metadata(&self, wanted: Wanted) -> Result<CoreProviderMetadata, SignInRefusal> {
        let mut known = self.known.lock().await;
        let lately = |at: Option<Instant>, within: Duration| at.is_some_and(|at| at.elapsed() < within);
        let enough = match wanted {
            Wanted::Fresh => lately(known.asked_at, FRESH_FOR),
            // Else whoever comes with nonsense has the provider asked each time.
            Wanted::NewKeys => lately(known.renewed_at, RENEWED_EVERY),
        };
        match &known.metadata {
            Some(metadata) if enough => return Ok(metadata.clone()),
            None if lately(known.failed_at, LEFT_ALONE_FOR) => return Err(SignInRefusal::Away),
            Some(_) | None => {}
        }
        let http = |request| outgoing::send(self.http.clone(), request);
        known.asked_at = Some(Instant::now());
        if wanted == Wanted::NewKeys {
            known.renewed_at = known.asked_at;
        }
        match CoreProviderMetadata::discover_async(self.at.clone(), &http).await {
            Ok(metadata) => {
                known.metadata = Some(metadata.clone());
                Ok(metadata)
            }
            Err(error) => {
                known.failed_at = Some(Instant::now());
                let refusal = away(&error);
                known.metadata.clone().ok_or(refusal)
            }
        }
    }
}

/// Looks whether what is said of a person is from the provider, for us, for this sign-in, and of now.
fn verify(
    client: &Client,
    token: &CoreIdToken,
    answer: &CoreTokenResponse,
    nonce: &Nonce,
) -> Result<(), ClaimsVerificationError> {
    let verifier = client
        .id_token_verifier()
        .set_time_fn(|| (SystemTime::now() - CLOCK_SKEW).into())
        .set_issue_time_verifier_fn(|issued| {
            let latest = SystemTime::now() + CLOCK_SKEW;
            if SystemTime::from(issued) > latest { Err("it is of the future".to_owned()) } else { Ok(()) }
        });
    let claims = token.claims(&verifier, nonce)?;
    if let Some(expected) = claims.access_token_hash() {
        let key = token.signing_key(&verifier).map_err(ClaimsVerificationError::SignatureVerification)?;
        let alg = token.signing_alg().map_err(|error| ClaimsVerificationError::Other(error.to_string()))?;
        let actual = AccessTokenHash::from_token(answer.access_token(), alg, key)
            .map_err(|error| ClaimsVerificationError::Other(error.to_string()))?;
        if actual != *expected {
            return Err(ClaimsVerificationError::Other("the access token is another".to_owned()));
        }
    }
    Ok(())
}

/// The provider cannot be reached. Logged once a minute; nothing that it was sent is in it.
fn away(error: &(dyn std::error::Error + 'static)) -> SignInRefusal {
    static LIMIT: LogLimit = LogLimit::once_a_minute();
    if LIMIT.is_due() {
        tracing::warn!(error = chain(error), "the provider of sign-ins cannot be reached");
    }
    SignInRefusal::Away
}

/// What the provider says cannot be believed. Logged once a minute.
fn unclear(error: &(dyn std::error::Error + 'static)) -> SignInRefusal {
    static LIMIT: LogLimit = LogLimit::once_a_minute();
    if LIMIT.is_due() {
        tracing::warn!(error = chain(error), "what the provider of sign-ins says cannot be believed");
    }
    SignInRefusal::Invalid
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
