//! AddressSet: what a policy's selector means at this moment.

use std::sync::Arc;

use heddle_model::{AddressSet, AddressSetName};
use heddle_proto::{heddle::v1, type_url};
use heddle_snapshot::{Resource, Scope};

use crate::{memo::Unit, wire::octets};

/// One set.
#[derive(Debug, PartialEq)]
pub(crate) struct AddressSetUnit(pub(crate) Arc<AddressSet>);

impl Unit for AddressSetUnit {
    type Key = AddressSetName;

    fn build(&self, key: &AddressSetName) -> Resource {
        let message = v1::AddressSet {
            // A BTreeSet of addresses: sorted, no duplicates, as the message demands.
            addresses: self.0.addresses.iter().copied().map(octets).collect(),
        };
        Resource::new(
            type_url::ADDRESS_SET,
            Arc::clone(&key.0),
            Scope::Nodes,
            Vec::new(),
            &message,
        )
    }
}
