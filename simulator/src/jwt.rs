//! Database tokens: signed with a key that is public, checked as CrateDB checks them.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde_json::{Value, json};

use crate::state::{Micros, stamp};

const KEY: &str = include_str!("jwt/public-test-key.pem");
const KEY_ID: &str = "simulator-1";
/// `iat` and `nbf` lie this much in the past: servers check whole seconds without leeway, and clocks differ.
const BACKDATED_SECONDS: i64 = 5;
const MICROS: i64 = 1_000_000;

/// The claims that one cluster accepts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) audience: &'a str,
    pub(crate) username: &'a str,
    pub(crate) issuer: &'a str,
}

/// Signs and checks tokens.
#[derive(Debug)]
pub(crate) struct Tokens {
    key: RsaKeyPair,
    random: SystemRandom,
    count: AtomicU64,
    lifetime: Duration,
    issued: Mutex<HashSet<String>>,
    revoked: Mutex<HashSet<String>>,
    /// The cluster of each refresh token.
    refreshes: Mutex<HashMap<String, String>>,
    /// The address of the key set.
    issuer: String,
}

impl Tokens {
    /// Makes tokens of the control plane at this address.
    pub(crate) fn new(lifetime: Duration, base: &str) -> std::io::Result<Self> {
        let broken = |error: &dyn std::fmt::Display| std::io::Error::other(format!("the embedded test key: {error}"));
        let encoded: String = KEY
            .lines()
            .skip_while(|line| !line.starts_with("-----"))
            .filter(|line| !line.starts_with("-----"))
            .collect();
        let der = STANDARD.decode(encoded).map_err(|error| broken(&error))?;
        let key = RsaKeyPair::from_pkcs8(&der).map_err(|error| broken(&error))?;
        Ok(Self {
            key,
            random: SystemRandom::new(),
            count: AtomicU64::new(1),
            lifetime,
            issued: Mutex::default(),
            revoked: Mutex::default(),
            refreshes: Mutex::default(),
            issuer: format!("{base}/api/v2/meta/jwk/"),
        })
    }

    /// Returns the issuer that tokens name.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns the key set, without `alg`: CrateDB up to 6.3.4 refuses every token if it is there.
    pub(crate) fn key_set(&self) -> Value {
        let public: PublicKeyComponents<Vec<u8>> = self.key.public().into();
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({ "keys": [{
            "kty": "RSA",
            "kid": KEY_ID,
            "use": "sig",
            "n": number(&public.n),
            "e": number(&public.e),
        }] })
    }

    /// Issues a token in the shape of the answer: exactly three keys, since one more crashes `ctk`.
    pub(crate) fn issue(&self, now: Micros, expected: Expected<'_>, refresh: String) -> Value {
        let lifetime = i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX / MICROS);
        let issued = now / MICROS - BACKDATED_SECONDS;
        let expires = now / MICROS + lifetime;
        let token = self.sign(&json!({
            "iss": expected.issuer,
            "username": expected.username,
            "aud": expected.audience,
            "iat": issued,
            "nbf": issued,
            "exp": expires,
            // Two tokens of the same second differ, so that the first can be revoked without the second.
            "jti": self.count.fetch_add(1, Ordering::Relaxed).to_string(),
        }));
        self.issued.lock().unwrap().insert(token.clone());
        self.refreshes.lock().unwrap().insert(refresh.clone(), expected.audience.to_owned());
        json!({ "token": token, "refresh": refresh, "expiry": stamp::utc(expires * MICROS) })
    }

    /// Uses a refresh token up and returns its cluster.
    pub(crate) fn redeem(&self, refresh: &str) -> Option<String> {
        self.refreshes.lock().unwrap().remove(refresh)
    }

    fn sign(&self, claims: &Value) -> String {
        let header = json!({ "typ": "JWT", "alg": "RS256", "kid": KEY_ID });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        // Signing can only fail for lack of randomness; the token is then refused everywhere.
        let _ = self.key.sign(&RSA_PKCS1_SHA256, &self.random, message.as_bytes(), &mut signature);
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Expires every token that was issued so far.
    pub(crate) fn revoke(&self) {
        self.revoked.lock().unwrap().extend(self.issued.lock().unwrap().drain());
    }

    pub(crate) fn is_revoked(&self, token: &str) -> bool {
        self.revoked.lock().unwrap().contains(token)
    }

    /// Checks a token; the error is the reason to refuse it.
    pub(crate) fn check(&self, now: Micros, token: &str, expected: Expected<'_>) -> Result<(), &'static str> {
        let (message, signature) = token.rsplit_once('.').ok_or("not a token of three parts")?;
        let (header, claims) = message.split_once('.').ok_or("not a token of three parts")?;
        let (header, claims) = (part(header)?, part(claims)?);
        if header["kid"] != KEY_ID || header["alg"] != "RS256" {
            return Err("no public key of this kid");
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "the signature is not base64url")?;
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, self.key.public().as_ref());
        public.verify(message.as_bytes(), &signature).map_err(|_| "the signature is wrong")?;
        check_claims(now, &claims, expected)?;
        if self.is_revoked(token) {
            return Err("the token has expired");
        }
        Ok(())
    }
}

fn part(text: &str) -> Result<Value, &'static str> {
    let raw = URL_SAFE_NO_PAD.decode(text).map_err(|_| "a part is not base64url")?;
    serde_json::from_slice(&raw).map_err(|_| "a part is not JSON")
}

/// Checks the claims, in whole seconds without leeway.
fn check_claims(now: Micros, claims: &Value, expected: Expected<'_>) -> Result<(), &'static str> {
    let now = now / MICROS;
    let audience = match &claims["aud"] {
        Value::Array(all) => all.iter().any(|one| one == expected.audience),
        one => one == expected.audience,
    };
    let later = |name: &str| claims[name].as_i64().is_some_and(|at| at > now);
    if claims["iss"] != expected.issuer {
        Err("wrong issuer")
    } else if claims["username"] != expected.username {
        Err("wrong username")
    } else if !audience {
        Err("wrong audience")
    } else if claims["exp"].as_i64().is_some_and(|at| at <= now) {
        Err("the token has expired")
    } else if later("nbf") || later("iat") {
        Err("the token is not valid yet")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Micros = 1_767_607_200_000_000;
    const EXPECTED: Expected<'static> =
        Expected { audience: "cluster-1", username: "admin", issuer: "http://here/jwk/" };

    fn token(tokens: &Tokens) -> String {
        tokens.issue(NOW, EXPECTED, "r".into())["token"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_refresh_token_is_good_once() {
        let tokens = Tokens::new(Duration::from_secs(60), "http://here").unwrap();
        token(&tokens);
        assert_eq!(
            (tokens.redeem("r"), tokens.redeem("r"), tokens.redeem("x")),
            (Some("cluster-1".into()), None, None)
        );
    }

    #[test]
    fn accepts_what_it_issued_until_it_expires_or_is_revoked() {
        let tokens = Tokens::new(Duration::from_secs(60), "http://here").unwrap();
        let token = token(&tokens);
        assert_eq!(tokens.check(NOW, &token, EXPECTED), Ok(()));
        assert_eq!(tokens.check(NOW + 59 * MICROS, &token, EXPECTED), Ok(()));
        assert_eq!(tokens.check(NOW + 60 * MICROS, &token, EXPECTED), Err("the token has expired"));
        tokens.revoke();
        assert_eq!(tokens.check(NOW, &token, EXPECTED), Err("the token has expired"));
    }

    #[test]
    fn refuses_tokens_of_other_clusters_users_and_issuers() {
        let tokens = Tokens::new(Duration::from_secs(60), "http://here").unwrap();
        let token = token(&tokens);
        let check = |expected| tokens.check(NOW, &token, expected);
        assert_eq!(check(Expected { audience: "cluster-2", ..EXPECTED }), Err("wrong audience"));
        assert_eq!(check(Expected { username: "crate", ..EXPECTED }), Err("wrong username"));
        assert_eq!(check(Expected { issuer: "http://there/jwk/", ..EXPECTED }), Err("wrong issuer"));
    }

    #[test]
    fn refuses_forged_and_broken_tokens() {
        let tokens = Tokens::new(Duration::from_secs(60), "http://here").unwrap();
        let token = token(&tokens);
        let (message, signature) = token.rsplit_once('.').unwrap();
        let (first, rest) = signature.split_at(1);
        let other = if first == "A" { "B" } else { "A" };
        assert_eq!(tokens.check(NOW, &format!("{message}.{other}{rest}"), EXPECTED), Err("the signature is wrong"));
        for broken in ["", "opaque", "a.b.c", "e30.e30.e30"] {
            assert!(tokens.check(NOW, broken, EXPECTED).is_err(), "{broken}");
        }
    }

    #[test]
    fn the_key_set_has_one_rsa_key_without_alg() {
        let set = Tokens::new(Duration::ZERO, "http://here").unwrap().key_set();
        let key = &set["keys"][0];
        assert_eq!((&key["kty"], &key["e"], &key["alg"]), (&"RSA".into(), &"AQAB".into(), &Value::Null));
        assert!(key["n"].as_str().unwrap().len() > 340);
    }
}
