//! Batches: changes that are made together or not at all, under conditions.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::backend::{self, Content, Expires, Op, Outcome};
use crate::error::{Error, Result};
use crate::namespace::Namespace;
use crate::oom_reserve::{self, Usage};
use crate::store::Store;
use crate::types::{IncrOptions, Limits, PutOptions};
use crate::version::Version;

/// Collects changes to one or more namespaces of a store, and makes them in one transaction, in their order.
///
/// ```
/// # use luat_kv::{OpenOptions, Store};
/// let store = Store::open_memory(&OpenOptions::new())?;
/// let stock = store.namespace("stock")?;
/// stock.put("apples", "3")?;
/// let apples = stock.get_entry("apples")?.unwrap();
///
/// let mut batch = store.batch();
/// batch.check(&stock, "apples", Some(apples.version))?;
/// batch.put(&stock, "apples", "2")?;
/// batch.put(&store.namespace("orders")?, "1", "one apple")?;
/// assert!(batch.commit()?.is_some(), "nobody changed the apples meanwhile");
/// # Ok::<(), luat_kv::Error>(())
/// ```
#[derive(Debug)]
pub struct Batch {
    store: Store,
    steps: Vec<Step>,
    committed: bool,
}

#[derive(Debug)]
struct Step {
    namespace: Arc<str>,
    key: Box<str>,
    action: Action,
}

#[derive(Debug)]
enum Action {
    Check(Option<Version>),
    Put { value: Vec<u8>, metadata: Option<Box<str>>, expires: Expires },
    Delete,
    Incr { by: i64, initial: i64, expires: Expires },
}

impl Store {
    /// Creates a batch for changes to any of this store's namespaces. It makes all of them or none.
    pub fn batch(&self) -> Batch {
        Batch { store: self.clone(), steps: Vec::new(), committed: false }
    }
}

impl Batch {
    /// The store that the batch is for.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Makes the commit depend on the key still having this version, so that nothing has written it since. `None`: on
    /// the key being missing.
    pub fn check(&mut self, namespace: &Namespace, key: &str, version: Option<Version>) -> Result<&mut Self> {
        self.push(Usage::now(), namespace, key, Action::Check(version))
    }

    /// As [`Namespace::put`].
    pub fn put(&mut self, namespace: &Namespace, key: &str, value: impl AsRef<[u8]>) -> Result<&mut Self> {
        self.put_with(namespace, key, value, &PutOptions::new())
    }

    /// As [`Namespace::put_with`]. A lifetime begins with the commit.
    pub fn put_with(
        &mut self,
        namespace: &Namespace,
        key: &str,
        value: impl AsRef<[u8]>,
        options: &PutOptions<'_>,
    ) -> Result<&mut Self> {
        let value = value.as_ref();
        let (usage, limits) = (Usage::now(), self.limits());
        limits.value(value)?;
        let expires = limits.put(options, &self.store.0.clock)?;
        let mut copy = Vec::new();
        copy.try_reserve_exact(value.len()).map_err(|_| Error::no_memory(value.len()))?;
        copy.extend_from_slice(value);
        let metadata = options.metadata.map(Box::from);
        self.push(usage, namespace, key, Action::Put { value: copy, metadata, expires })
    }

    /// As [`Namespace::delete`].
    pub fn delete(&mut self, namespace: &Namespace, key: &str) -> Result<&mut Self> {
        self.push(Usage::now(), namespace, key, Action::Delete)
    }

    /// As [`Namespace::incr`]. If the value is not an integer, the commit fails.
    pub fn incr(&mut self, namespace: &Namespace, key: &str, by: i64) -> Result<&mut Self> {
        self.incr_with(namespace, key, by, &IncrOptions::new())
    }

    /// As [`Namespace::incr_with`]. If the value is not an integer, the commit fails.
    pub fn incr_with(&mut self, namespace: &Namespace, key: &str, by: i64, options: &IncrOptions) -> Result<&mut Self> {
        let expires = self.limits().lifetime(options.expiration, options.expiration_ttl, &self.store.0.clock)?;
        self.push(Usage::now(), namespace, key, Action::Incr { by, initial: options.initial, expires })
    }

    /// Makes all changes, and returns the version of everything that they put. If a check did not hold, returns `None`,
    /// and nothing is changed. The batch cannot be used again after either. An error also changes nothing, and the
    /// commit may then be repeated.
    pub fn commit(&mut self) -> Result<Option<Version>> {
        self.commit_with(&AtomicU64::new(0))
    }

    /// Like [`commit`](Batch::commit). `progress` receives the number of changes and checks that are carried out, for
    /// another thread that shows it. It begins again with 1 if the commit waits for another process and is repeated.
    pub fn commit_with(&mut self, progress: &AtomicU64) -> Result<Option<Version>> {
        self.open()?;
        let mut ops = Vec::new();
        let len = self.steps.len();
        ops.try_reserve_exact(len).map_err(|_| Error::no_memory(len * size_of::<Op<'_>>()))?;
        ops.extend(self.steps.iter().map(Step::op));
        oom_reserve::check()?;
        let outcome = self.store.0.write_with(&mut ops, Some(progress))?;
        self.committed = true;
        self.steps = Vec::new();
        Ok(match outcome {
            Outcome::Done(version) => Some(version),
            Outcome::Conflict => None,
        })
    }

    fn limits(&self) -> Limits {
        self.store.0.limits
    }

    fn open(&self) -> Result<()> {
        match self.committed {
            true => Err(Error::invalid("the batch was committed; begin another")),
            false => self.store.check_open(),
        }
    }

    fn push(&mut self, usage: Usage, namespace: &Namespace, key: &str, action: Action) -> Result<&mut Self> {
        self.open()?;
        if !Arc::ptr_eq(&self.store.0, &namespace.store().0) {
            return Err(Error::invalid("the batch is for another store than the namespace's"));
        }
        self.limits().key(key)?;
        self.steps.try_reserve(1).map_err(|_| Error::no_memory(size_of_val(self.steps.as_slice())))?;
        self.steps.push(Step { namespace: namespace.shared_name(), key: key.into(), action });
        // A batch can become large, and must not use the reserve.
        if let Err(full) = usage.check_unchanged() {
            self.steps.pop();
            return Err(full);
        }
        Ok(self)
    }
}

impl Step {
    fn op(&self) -> Op<'_> {
        let action = match &self.action {
            Action::Check(version) => backend::Action::Check(*version),
            Action::Put { value, metadata, expires } => {
                backend::Action::Put(Content { value, metadata: metadata.as_deref(), expires: *expires })
            }
            Action::Delete => backend::Action::Delete,
            &Action::Incr { by, initial, expires } => backend::Action::Incr { by, initial, expires },
        };
        Op::new(&self.namespace, &self.key, action)
    }
}
