//! What an operator may say about writing to a base.

/// How the records of one route are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The set: `Document_ЗаказКлиента`.
    pub set: String,
    /// The attribute that holds the message's key; without it, the key is the object's own reference.
    pub by: Option<String>,
    /// Whether objects that are not there yet are created.
    pub create: bool,
    /// What becomes of a document.
    pub post: Posting,
    /// What happens to what is gone; without it a deletion is not sent.
    pub gone: Option<Gone>,
    /// `ОбменДанными.Загрузка`: the configuration's own checks and movements are left out.
    pub load_mode: bool,
}

/// What becomes of a document after it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posting {
    /// It stays as it is.
    Leave,
    /// It is posted.
    Post,
    /// Its posting is undone.
    Unpost,
    /// As `Posted` in the record says.
    Follow,
}

/// What happens to an object that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// It is marked for deletion, as people do it.
    Mark,
    /// It is deleted for good.
    Delete,
}
