//! Requests: their bounds in time, the redirections that are followed, and how often one is made.
//!
//! What proves who asks goes to the Hub's own server alone, whatever it sends on to.

use std::sync::Arc;
use std::time::Duration;

use hf_hub::api::sync::{Api, ApiBuilder};
use hf_hub::{Cache, RepoType};
use ureq::http::Response;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::typestate::WithoutBody;
use ureq::{Agent, Body, RequestBuilder};

use super::address::{join, origin, path, segment};
use super::fault::{Fault, of_transport};
use super::proxies::Proxies;
use crate::error::HubError;
use crate::observer::{HubEvent, HubObserver};
use crate::place::Place;
use crate::reference::RepoKind;
use crate::settings::Settings;

/// Redirections that are followed on the way to an answer.
const MAX_REDIRECTIONS: usize = 5;

/// The Hub, ready to be asked.
pub(crate) struct Remote {
    pub(super) settings: Settings,
    api: Api,
    agent: Agent,
    proxies: Proxies,
    observer: Arc<dyn HubObserver>,
}

impl Remote {
    pub(crate) fn new(
        settings: &Settings,
        observer: Arc<dyn HubObserver>,
    ) -> Result<Self, HubError> {
        settings.check()?;
        let api = ApiBuilder::from_cache(Cache::new(settings.cache.clone()))
            .with_endpoint(settings.endpoint.clone())
            .with_token(settings.token.clone())
            .with_user_agent("pfgmpp", env!("CARGO_PKG_VERSION"))
            .with_progress(false)
            .build()
            .map_err(|e| HubError::Unreachable {
                endpoint: settings.shown_endpoint(),
                cause: e.to_string(),
            })?;
        let agent = Agent::config_builder()
            .user_agent(concat!("pfgmpp/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls())
            .proxy(None)
            .build();
        Ok(Self {
            settings: settings.clone(),
            api,
            agent: agent.into(),
            proxies: Proxies::from_env(),
            observer,
        })
    }

    /// hf-hub's view of a repository at a revision or commit.
    pub(super) fn repo(&self, place: &Place, revision: &str) -> hf_hub::api::sync::ApiRepo {
        let kind = match place.repo.kind {
            RepoKind::Model => RepoType::Model,
            RepoKind::Dataset => RepoType::Dataset,
        };
        let id = place.repo.id.clone();
        self.api
            .repo(hf_hub::Repo::with_revision(id, kind, segment(revision)))
    }

    /// The address of a file at a commit.
    pub(super) fn file_address(&self, place: &Place, commit: &str, name: &str) -> String {
        self.repo(place, commit).url(&path(name))
    }

    /// A request for what is at an address.
    pub(super) fn get(&self, address: &str) -> RequestBuilder<WithoutBody> {
        self.signed(self.agent.get(address), address)
    }

    /// A request for what is told of an address.
    pub(super) fn head(&self, address: &str) -> RequestBuilder<WithoutBody> {
        self.signed(self.agent.head(address), address)
    }

    fn signed(
        &self,
        request: RequestBuilder<WithoutBody>,
        address: &str,
    ) -> RequestBuilder<WithoutBody> {
        match &self.settings.token {
            Some(token) if origin(address) == origin(&self.settings.endpoint) => {
                request.header("authorization", format!("Bearer {token}"))
            }
            _ => request,
        }
    }

    /// Makes one request and gives its answer, be it an error or a redirection. Its headers are here in time, and
    /// so is its body unless it takes longer than `total`, if that is bounded.
    pub(super) fn call(
        &self,
        request: RequestBuilder<WithoutBody>,
        total: Option<Duration>,
    ) -> Result<Response<Body>, Fault> {
        let patience = self.settings.timeout;
        let (request, proxy) = self.proxies.on_the_way(request)?;
        request
            .config()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Sizes and checksums are those of the bytes themselves.
            .accept_encoding("identity")
            .tls_config(tls())
            .proxy(proxy)
            .timeout_resolve(Some(patience))
            .timeout_connect(Some(patience))
            .timeout_recv_response(Some(patience))
            .timeout_per_read(Some(patience))
            .timeout_per_write(Some(patience))
            .timeout_global(total)
            .build()
            .call()
            .map_err(of_transport)
    }

    /// The answer at the end of all redirections from an address.
    pub(super) fn follow(
        &self,
        address: &str,
        total: Option<Duration>,
        request: impl Fn(&str) -> RequestBuilder<WithoutBody>,
    ) -> Result<Response<Body>, Fault> {
        let mut address = address.to_string();
        for _ in 0..MAX_REDIRECTIONS {
            let response = self.call(request(&address), total)?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            address = next(&address, &response)?;
        }
        Err(Fault::Answer("it sends from address to address".into()))
    }

    /// Waits as long as the server asks, or else as long as is usual.
    fn sleep(&self, what: &str, fault: &Fault, usual: Duration) {
        let text = match (fault, fault.wait()) {
            (_, Some(wait)) => Some(format!("{what}: asked to wait {} s", wait.as_secs())),
            (Fault::Silent, None) => Some(format!("{what}: no answer yet, asking again")),
            _ => None,
        };
        if let Some(text) = text {
            self.observer.observe(HubEvent::Note(&text));
        }
        std::thread::sleep(fault.wait().unwrap_or(usual));
    }

    /// Does something until it is done, fails for good, or has failed as often as the settings allow.
    pub(crate) fn again<T>(
        &self,
        what: &str,
        mut attempt: impl FnMut() -> Result<T, Fault>,
    ) -> Result<T, HubError> {
        let mut wait = self.settings.first_wait;
        let tries = self.settings.tries.max(1);
        for made in 1..=tries {
            match attempt() {
                Ok(done) => return Ok(done),
                Err(fault) if made < tries.min(fault.most_tries()) && fault.may_pass() => {
                    self.sleep(what, &fault, wait);
                    wait = wait.saturating_mul(2);
                }
                Err(fault) => return Err(fault.at(what, &self.settings, made)),
            }
        }
        unreachable!("the last attempt returns")
    }
}

/// The certificates that this machine trusts, `SSL_CERT_FILE` among them.
fn tls() -> TlsConfig {
    TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .build()
}

/// Where a redirection leads.
pub(super) fn next(address: &str, response: &Response<Body>) -> Result<String, Fault> {
    let location = response.headers().get("location");
    let Some(location) = location.and_then(|to| to.to_str().ok()) else {
        return Err(Fault::Answer(
            "it sends elsewhere without an address".into(),
        ));
    };
    join(address, location)
        .ok_or_else(|| Fault::Answer("it sends to an address that is not of the web".into()))
}
