//! How values of the model stand in the database. A value that does not read back is an error, never a default.

use std::{fmt::Display, net::Ipv4Addr, str::FromStr};

use faros_model::ids::{Digest, MacAddr};
use jiff::Timestamp;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::{Serialize, de::DeserializeOwned};

/// A time: nanoseconds since 1970. What lies beyond the year 2262 becomes the last time that fits.
pub(crate) struct At(pub(crate) Timestamp);

impl ToSql for At {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let nanos = self.0.as_nanosecond();
        let nearest = if nanos < 0 { i64::MIN } else { i64::MAX };
        Ok(i64::try_from(nanos).unwrap_or(nearest).into())
    }
}

impl FromSql for At {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let nanos = i128::from(value.as_i64()?);
        let time = Timestamp::from_nanosecond(nanos).map_err(FromSqlError::other)?;
        Ok(Self(time))
    }
}

/// An IPv4 address: its 32 bits as a number.
pub(crate) struct Ip(pub(crate) Ipv4Addr);

impl ToSql for Ip {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(i64::from(self.0.to_bits()).into())
    }
}

impl FromSql for Ip {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let bits = value.as_i64()?;
        let bits = u32::try_from(bits).map_err(|_| FromSqlError::OutOfRange(bits))?;
        Ok(Self(Ipv4Addr::from_bits(bits)))
    }
}

/// Bytes of a fixed number.
pub(crate) struct Bytes<const N: usize>(pub(crate) [u8; N]);

impl<const N: usize> ToSql for Bytes<N> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(&self.0)))
    }
}

impl<const N: usize> FromSql for Bytes<N> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let blob = value.as_blob()?;
        let bytes = blob.try_into().map_err(|_| FromSqlError::InvalidBlobSize {
            expected_size: N,
            blob_size: blob.len(),
        })?;
        Ok(Self(bytes))
    }
}

impl From<Bytes<6>> for MacAddr {
    fn from(bytes: Bytes<6>) -> Self {
        Self(bytes.0)
    }
}

impl From<Bytes<32>> for Digest {
    fn from(bytes: Bytes<32>) -> Self {
        Self(bytes.0)
    }
}

/// A value that is written as its text.
pub(crate) struct Text<T>(pub(crate) T);

impl<T: Display> ToSql for Text<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.to_string().into())
    }
}

impl<T: FromStr> FromSql for Text<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text = value.as_str()?;
        let parsed = text.parse().map_err(|_| unreadable(text))?;
        Ok(Self(parsed))
    }
}

/// A value that is written as JSON.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: Serialize> ToSql for Json<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let text = serde_json::to_string(&self.0)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        Ok(text.into())
    }
}

impl<T: DeserializeOwned> FromSql for Json<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?)
            .map(Self)
            .map_err(FromSqlError::other)
    }
}

/// The error for a text that names nothing.
pub(crate) fn unreadable(text: &str) -> FromSqlError {
    FromSqlError::Other(format!("`{text}` is not what this program writes").into())
}

/// A number of the model as the database's only kind of number. All of ours fit.
pub(crate) struct Num(pub(crate) u64);

impl ToSql for Num {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(i64::try_from(self.0).unwrap_or(i64::MAX).into())
    }
}

impl FromSql for Num {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let n = value.as_i64()?;
        u64::try_from(n)
            .map(Self)
            .map_err(|_| FromSqlError::OutOfRange(n))
    }
}
