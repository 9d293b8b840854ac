//! Answers that come piece by piece.

use std::marker::PhantomData;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use crate::ClientError;

/// An answer of bytes, as they come.
#[derive(Debug)]
pub struct Pieces(pub(crate) Incoming);

impl Pieces {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// If the daemon breaks off.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            match self.0.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(ClientError::Broken(error)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}

/// An answer of one JSON object a line, as they come.
#[derive(Debug)]
pub struct Lines<T> {
    body: Incoming,
    buffer: BytesMut,
    of: PhantomData<fn() -> T>,
}

impl<T> Lines<T> {
    pub(crate) fn of(body: Incoming) -> Self {
        Self {
            body,
            buffer: BytesMut::new(),
            of: PhantomData,
        }
    }
}

impl<T: DeserializeOwned> Lines<T> {
    /// The next object; `None` at the end.
    ///
    /// # Errors
    /// If the daemon goes away, or says what cannot be understood.
    pub async fn next(&mut self) -> Result<Option<T>, ClientError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line = self.buffer.split_to(end + 1);
                return serde_json::from_slice(&line)
                    .map(Some)
                    .map_err(ClientError::Answer);
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(ClientError::Broken(error)),
                Some(Ok(frame)) => self.buffer.extend(frame.into_data().ok().into_iter().flatten()),
            }
        }
    }
}
