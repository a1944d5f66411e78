//! Several texts in one value: each behind its length, of four bytes.

use bytes::{Buf, BufMut, Bytes};

/// The length of one that is not there.
const NONE: u32 = u32::MAX;

/// A value ends before its last part does.
pub(crate) struct Cut;

/// Appends a part.
pub(crate) fn put(bytes: &mut Vec<u8>, part: Option<&[u8]>) {
    let Some(part) = part else { return bytes.put_u32(NONE) };
    // Far below 4 GiB: SQLite takes no value of 1 GB.
    bytes.put_u32(u32::try_from(part.len()).unwrap_or(NONE - 1));
    bytes.put_slice(part);
}

/// Takes the next part; `None`: one that is not there.
pub(crate) fn take(bytes: &mut Bytes) -> Result<Option<Bytes>, Cut> {
    let length = bytes.try_get_u32().map_err(|_| Cut)?;
    if length == NONE {
        return Ok(None);
    }
    let length = length as usize;
    if length > bytes.len() {
        return Err(Cut);
    }
    Ok(Some(bytes.split_to(length)))
}
