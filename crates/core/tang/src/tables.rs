//! What a server answers, compiled from its keys.
//!
//! A signature takes longer than all the rest of an answer, and there are only as many different advertisements
//! as signing keys. So they are all signed when the ring changes and never when somebody asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::jwk::{self, Usage};
use crate::recover::{self, RecoverError, Recovery};
use crate::ring::{Key, KeyRing, Standing};
use crate::thumbprint::Hash;

/// All answers of a server with certain keys. Holds their secrets, which are forgotten with it.
#[derive(Debug, Clone)]
pub struct Tables {
    advertisement: Option<Arc<str>>,
    /// By the thumbprints under every hash.
    by_name: BTreeMap<String, Named>,
}

#[derive(Debug, Clone)]
enum Named {
    /// A signing key: the advertisement that it signs too, if there is anything to advertise.
    Signing(Option<Arc<str>>),
    Exchange(Arc<Key>),
}

impl Tables {
    /// Compiles the answers; one signature for each signing key.
    pub fn compile(ring: &KeyRing) -> Self {
        let advertised = |key: &&Key| key.standing() == Standing::Advertised;
        let keys: Vec<String> = ring
            .keys()
            .filter(advertised)
            .map(|key| jwk::public(key.usage(), &key.point))
            .collect();
        let payload = jwk::encode(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes());
        let signatures: Vec<Signature> = ring
            .keys()
            .filter(advertised)
            .filter(|key| key.usage() == Usage::Signing)
            .map(|key| Signature::new(key, &payload))
            .collect();
        let advertisement: Option<Arc<str>> =
            (!signatures.is_empty()).then(|| jws(&payload, &signatures).into());

        let mut by_name = BTreeMap::new();
        for key in ring.keys() {
            let named = match (key.usage(), key.standing()) {
                (Usage::Exchange, _) => Named::Exchange(Arc::new(key.clone())),
                (Usage::Signing, Standing::Advertised) => Named::Signing(advertisement.clone()),
                (Usage::Signing, Standing::Hidden) => Named::Signing(advertisement.as_ref().map(|_| {
                    let also = Signature::new(key, &payload);
                    let all: Vec<Signature> = signatures.iter().cloned().chain([also]).collect();
                    jws(&payload, &all).into()
                })),
            };
            for hash in Hash::ALL {
                by_name.insert(key.thumbprint_by(hash), named.clone());
            }
        }
        Self {
            advertisement,
            by_name,
        }
    }

    /// The advertisement, of type [`crate::ADVERTISEMENT_TYPE`]: the public keys that are advertised, signed by
    /// all advertised signing keys, and by the hidden one that is asked for. `None` (404) if there is no signing
    /// key of that name. A client that pinned a hidden key can check that signature; clevis 19 does not, and
    /// refuses to bind.
    ///
    /// `tangd` signs twice with an advertised key that is asked for by name; here it signs once.
    pub fn advertisement(&self, asked: Option<&str>) -> Option<&str> {
        let Some(name) = asked else {
            return self.advertisement.as_deref();
        };
        match self.by_name.get(name)? {
            Named::Signing(advertisement) => advertisement.as_deref(),
            // Some versions of `tangd` answered with the secret itself here.
            Named::Exchange(_) => None,
        }
    }

    /// Recovers with the exchange key of that name.
    ///
    /// # Errors
    /// If the request cannot be answered; see [`RecoverError::status`].
    pub fn recover(&self, asked: &str, body: &[u8]) -> Result<Recovery, RecoverError> {
        let request = recover::request(body)?;
        let key = match self.by_name.get(asked) {
            Some(Named::Exchange(key)) => key,
            Some(Named::Signing(_)) => return Err(RecoverError::NotExchangeKey),
            None => return Err(RecoverError::UnknownKey),
        };
        Ok(Recovery {
            text: recover::exchange(&key.secret, key.curve(), &request)?,
            key: key.thumbprint(),
            standing: key.standing(),
        })
    }
}

#[derive(Debug, Clone)]
struct Signature {
    protected: String,
    signature: String,
}

impl Signature {
    /// RFC 7515 section 5.1.
    fn new(key: &Key, payload: &str) -> Self {
        let alg = key.curve().signature_algorithm();
        let protected = jwk::encode(format!(r#"{{"alg":"{alg}","cty":"jwk-set+json"}}"#).as_bytes());
        let signature = key.secret.sign(format!("{protected}.{payload}").as_bytes());
        Self {
            protected,
            signature: jwk::encode(&signature),
        }
    }

    fn members(&self) -> String {
        let Self { protected, signature } = self;
        format!(r#""protected":"{protected}","signature":"{signature}""#)
    }
}

/// The JSON serialization of a JWS: flattened with one signature, general with several (RFC 7515 section 7.2).
fn jws(payload: &str, signatures: &[Signature]) -> String {
    match signatures {
        [only] => format!(r#"{{"payload":"{payload}",{}}}"#, only.members()),
        several => {
            let several: Vec<String> = several.iter().map(|it| format!("{{{}}}", it.members())).collect();
            format!(
                r#"{{"payload":"{payload}","signatures":[{}]}}"#,
                several.join(",")
            )
        }
    }
}
