//! The rules, one function each. They return what is wrong, and never judge by time.

mod delta;
mod errors;
mod order;
mod reconnect;
mod subscriptions;
mod wildcards;
mod world;

use anyhow::Result;
use futures::future::BoxFuture;

use crate::{
    Variant,
    run::Scene,
    variant::{DELTA_ADS, DELTA_PER_TYPE, WORLD_ADS, WORLD_PER_TYPE},
};

/// A rule of the protocol.
pub struct Rule {
    /// A sentence.
    pub name: &'static str,
    /// Where it applies.
    pub variants: &'static [Variant],
    /// Tells how it is broken.
    pub check: for<'a> fn(&'a Scene<'a>) -> BoxFuture<'a, Result<()>>,
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

const ALL: &[Variant] = &[WORLD_ADS, WORLD_PER_TYPE, DELTA_ADS, DELTA_PER_TYPE];
const WORLD: &[Variant] = &[WORLD_ADS, WORLD_PER_TYPE];
const DELTA: &[Variant] = &[DELTA_ADS, DELTA_PER_TYPE];
const ADS: &[Variant] = &[WORLD_ADS, DELTA_ADS];

/// Expands `$test!(variant, VARIANT)` for each variant of a set.
#[macro_export]
macro_rules! for_each_variant {
    ($test:ident, ALL) => {
        $crate::for_each_variant!($test, WORLD);
        $crate::for_each_variant!($test, DELTA);
    };
    ($test:ident, WORLD) => {
        $test!(world_ads, WORLD_ADS);
        $test!(world_per_type, WORLD_PER_TYPE);
    };
    ($test:ident, DELTA) => {
        $test!(delta_ads, DELTA_ADS);
        $test!(delta_per_type, DELTA_PER_TYPE);
    };
    ($test:ident, ADS) => {
        $test!(world_ads, WORLD_ADS);
        $test!(delta_ads, DELTA_ADS);
    };
    ($test:ident, PER_TYPE) => {
        $test!(world_per_type, WORLD_PER_TYPE);
        $test!(delta_per_type, DELTA_PER_TYPE);
    };
}

macro_rules! rules {
    ($($module:ident { $($name:ident: $variants:ident),* $(,)? })*) => {
        /// All of them.
        pub const RULES: &[Rule] = &[$($(
            Rule {
                name: stringify!($name),
                variants: $variants,
                check: |scene| Box::pin($module::$name(scene)),
            },
        )*)*];

        /// For each rule a module, with its name in `RULE` and `$test!(variant, VARIANT)` for each of its variants.
        #[macro_export]
        macro_rules! for_each_rule {
            ($test:ident) => {
                $($(
                    mod $name {
                        use super::*;
                        const RULE: &str = stringify!($name);
                        $crate::for_each_variant!($test, $variants);
                    }
                )*)*
            };
        }
    };
}

rules! {
    subscriptions {
        the_node_is_needed_only_in_the_first_request: ALL,
        every_requested_resource_that_exists_is_sent: ALL,
        a_name_that_does_not_exist_yet_is_sent_when_it_appears: ALL,
        a_newly_added_name_is_sent_though_it_did_not_change: ALL,
        a_name_that_was_dropped_and_added_again_is_sent_again: ALL,
        nothing_is_sent_when_nothing_changed: ALL,
        a_change_of_what_was_not_asked_for_is_not_sent: ALL,
        a_dropped_name_gets_no_updates: ALL,
        no_resource_is_in_a_response_twice: ALL,
        an_ack_may_change_the_subscription: ALL,
        an_unknown_type_leaves_the_others_alone: ADS,
        each_response_has_a_nonce_of_its_own: ALL,
        a_name_may_be_anything: ALL,
        the_type_may_be_left_out_where_the_service_says_it: PER_TYPE,
    }
    wildcards {
        an_asterisk_asks_for_everything: ALL,
        no_names_in_the_first_request_ask_for_everything: ALL,
        a_wildcard_gets_what_appears_later: ALL,
        a_wildcard_is_answered_even_if_there_is_nothing: ALL,
        a_wildcard_and_names_may_be_mixed_and_dropping_it_keeps_the_names: ALL,
        an_empty_list_after_names_means_nothing: WORLD,
        a_later_request_without_names_changes_nothing: DELTA,
        a_name_dropped_out_of_a_wildcard_is_answered: DELTA,
        a_name_dropped_out_of_a_wildcard_that_is_gone_is_told_as_removed: DELTA,
    }
    world {
        clusters_and_listeners_come_as_a_whole: WORLD,
        absence_of_a_cluster_or_listener_deletes_it: WORLD,
        an_empty_response_deletes_all: WORLD,
        other_types_come_alone_and_are_not_deleted: WORLD,
        a_stale_nonce_is_not_answered: WORLD,
        a_version_does_not_make_a_nack: WORLD,
        a_version_of_an_older_stream_does_not_keep_an_answer_back: WORLD,
        the_version_changes_with_the_content_only: WORLD,
    }
    delta {
        only_the_changed_is_sent: DELTA,
        the_removed_is_told: DELTA,
        a_name_that_does_not_exist_is_told_as_removed_at_once: DELTA,
        a_name_that_is_subscribed_again_is_answered_again: DELTA,
        a_stale_nonce_does_not_keep_a_subscription_back: DELTA,
        unsubscribing_what_was_never_subscribed_is_ignored: DELTA,
        unsubscribing_needs_no_answer: DELTA,
        the_version_of_a_resource_changes_with_its_content_only: DELTA,
    }
    reconnect {
        a_client_that_comes_back_gets_what_changed: DELTA,
        a_wildcard_client_that_comes_back_is_told_what_is_gone: DELTA,
        versions_outlive_a_stream: ALL,
        streams_of_one_node_know_nothing_of_each_other: ALL,
        a_slow_client_gets_the_newest_not_everything: ALL,
        a_client_that_does_not_read_harms_no_other: ALL,
        a_thousand_clients_that_come_back_at_once_are_all_served: ALL,
    }
    errors {
        what_was_refused_is_not_sent_again: ALL,
        after_a_nack_the_next_version_is_sent: ALL,
        a_nack_may_change_the_subscription: ALL,
        a_nack_of_one_type_leaves_the_others_alone: ALL,
        no_time_to_live_without_the_features_for_it: WORLD,
        a_heartbeat_has_no_body: ALL,
        an_error_of_a_resource_is_not_beside_the_resource: ALL,
    }
    order {
        a_change_goes_from_clusters_to_routes: ADS,
        a_route_waits_until_its_cluster_is_accepted: ADS,
        a_cluster_goes_only_after_the_route_without_it_is_accepted: ADS,
        endpoints_follow_each_update_of_their_cluster: ADS,
    }
}

const PER_TYPE: &[Variant] = &[WORLD_PER_TYPE, DELTA_PER_TYPE];
