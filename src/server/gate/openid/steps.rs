//! The two steps of a sign-in by a provider: people are sent there, and come back.
//!
//! A cookie binds both to one browser. Whatever goes wrong, people land on the sign-in page, which says so in words of here.

use axum::Extension;
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum_extra::extract::CookieJar;
use http::{HeaderValue, header};
use serde::Deserialize;

use super::attempt::{ATTEMPT_MAX_MS, Attempt};
use super::claims::Claims;
use super::provider::OpenId;
use crate::protocol::{ApiError, ErrorCode, SignInRefusal};
use crate::server::gate::auth::query_value;
use crate::server::gate::header_sign_in::given_role;
use crate::server::gate::sign_in::{Visitor, admit, enter, local, plain_cookie, refused, with_cookie};
use crate::server::state::{AppState, Site};
use crate::service::{Caller, secret};
use crate::store::access::{Arrival, Named};

/// Bytes of a code that is passed on.
const CODE_BYTES_MAX: usize = 4_096;

/// What `/login/openid` is asked with.
#[derive(Deserialize)]
pub struct Begin {
    #[serde(default)]
    next: String,
}

/// What a provider sends back.
#[derive(Deserialize)]
pub struct CameBack {
    #[serde(default)]
    code: String,
    #[serde(default)]
    state: String,
    error: Option<String>,
    iss: Option<String>,
}

/// `GET /login/openid`: sends people to the provider.
pub async fn begin(
    State(state): State<AppState>,
    Query(Begin { next }): Query<Begin>,
    request: Request,
) -> Response {
    let Some(openid) = &state.openid else { return ApiError::not_found("address").into_response() };
    let visitor = Visitor::of(&state, &request);
    let next = local(&next);
    // Several sign-ins of one browser may be under way.
    let browser = browser(&state.site, &request).unwrap_or_else(secret::fresh);
    let attempt = Attempt::begin(&browser, next, state.service.people().clock());
    match openid.address_of(&attempt, &browser).await {
        Ok(address) => {
            let seconds = i64::try_from(ATTEMPT_MAX_MS / 1_000).expect("ten minutes");
            let cookie = plain_cookie(&state.site, cookie_name(&state.site), &browser, seconds);
            with_cookie(Redirect::to(&address), &cookie)
        }
        Err(refusal) => turned_away(&visitor, next, refusal),
    }
}

/// `GET /login/openid/callback`: lets in whoever comes back from the provider.
pub async fn back(
    State(state): State<AppState>,
    Query(came): Query<CameBack>,
    before: Option<Extension<Caller>>,
    request: Request,
) -> Response {
    let Some(openid) = &state.openid else { return ApiError::not_found("address").into_response() };
    let visitor = Visitor::of(&state, &request);
    let opened = browser(&state.site, &request)
        .and_then(|browser| Attempt::open(&browser, &came.state).map(|attempt| (browser, attempt)));
    let Some((browser, attempt)) = opened else { return turned_away(&visitor, "/", SignInRefusal::Foreign) };
    let next = local(&attempt.next).to_owned();
    let taken = match admit(&state, &visitor, None, None) {
        Ok(taken) => taken,
        Err(refusal) => return refused(visitor.html, "/login", &next, refusal),
    };
    let people = state.service.people();
    let arrival = match arrival(&state, openid, &came, &attempt, &browser).await {
        Ok(Ok(arrival)) => Arrival { address: visitor.place().address, ..arrival },
        Ok(Err(refusal)) => {
            if refusal == SignInRefusal::Denied {
                state.login_rate.succeeded(taken);
            } else if let Err(outage) = people.log_failed_sign_in(refusal, visitor.place()).await {
                return outage.into_response();
            }
            return turned_away(&visitor, &next, refusal);
        }
        Err(outage) => return outage.into_response(),
    };
    match people.sign_in_by_provider(arrival, visitor.place(), openid.session_ms).await {
        Ok(Ok(signed_in)) => {
            state.login_rate.succeeded(taken);
            let mut response = enter(&state, before, &signed_in, &next, &visitor).await;
            let over = plain_cookie(&state.site, cookie_name(&state.site), "", 0).to_string();
            let over = HeaderValue::from_str(&over).expect("names are plain ASCII");
            response.headers_mut().append(header::SET_COOKIE, over);
            response
        }
        Ok(Err(refusal)) => {
            // The provider knows them: nobody has guessed.
            state.login_rate.succeeded(taken);
            turned_away(&visitor, &next, refusal)
        }
        Err(outage) => outage.into_response(),
    }
}

/// Who comes back, by what the provider says.
async fn arrival(
    state: &AppState,
    openid: &OpenId,
    came: &CameBack,
    attempt: &Attempt,
    browser: &str,
) -> Result<Result<Arrival, SignInRefusal>, ApiError> {
    let people = state.service.people();
    if attempt.is_over(people.clock()) {
        return Ok(Err(SignInRefusal::Expired));
    }
    // Whatever comes of it, it is used.
    if !people.use_attempt(&attempt.state, ATTEMPT_MAX_MS).await? {
        return Ok(Err(SignInRefusal::Used));
    }
    if let Some(error) = &came.error {
        let by_choice = matches!(error.as_str(), "access_denied" | "login_required" | "consent_required");
        tracing::info!(by_choice, "the provider has not signed somebody in");
        return Ok(Err(if by_choice { SignInRefusal::Denied } else { SignInRefusal::Invalid }));
    }
    // RFC 9207: whose answer it is.
    if came.iss.as_ref().is_some_and(|iss| *iss != openid.issuer) {
        return Ok(Err(SignInRefusal::Invalid));
    }
    if came.code.is_empty() || came.code.len() > CODE_BYTES_MAX {
        return Ok(Err(SignInRefusal::Invalid));
    }
    let claims = openid.claims_of(attempt, browser, came.code.clone()).await;
    Ok(claims.and_then(|claims| named(openid, &claims)))
}

/// Whom the provider names, and what they may do.
fn named(openid: &OpenId, claims: &Claims) -> Result<Arrival, SignInRefusal> {
    Ok(Arrival {
        name: claims.name(&openid.name_claim).unwrap_or_default().to_owned(),
        by: Named::OpenId {
            issuer: openid.issuer.clone(),
            subject: claims.subject().ok_or(SignInRefusal::Invalid)?.to_owned(),
        },
        role: given_role(&openid.roles, claims.groups(&openid.groups_claim)),
        address: String::new(),
    })
}

/// The cookie that binds a sign-in to a browser.
fn cookie_name(site: &Site) -> &'static str {
    if site.is_https() { "__Host-milepost-openid" } else { "milepost-openid" }
}

/// The secret of the browser, where it keeps one.
fn browser(site: &Site, request: &Request) -> Option<String> {
    let cookies = CookieJar::from_headers(request.headers());
    let kept = cookies.get(cookie_name(site))?.value().to_owned();
    secret::is_well_formed(&kept).then_some(kept)
}

/// Sends people back to the sign-in page, which says why; programs get the problem.
fn turned_away(visitor: &Visitor, next: &str, refusal: SignInRefusal) -> Response {
    if visitor.html {
        let address = format!("/login?error={}&next={}", refusal.as_str(), query_value(next));
        return Redirect::to(&address).into_response();
    }
    let code = if refusal == SignInRefusal::Away { ErrorCode::Busy } else { ErrorCode::NotAllowed };
    let mut problem = ApiError::new(code, refusal.words());
    problem.retry_after_seconds = (code == ErrorCode::Busy).then_some(5);
    problem.into_response()
}
