//! The four signs between a label and its value, which both of Alertmanager's grammars have.

use promql_parser::parser::token::{T_EQL, T_EQL_REGEX, T_NEQ, T_NEQ_REGEX, TokenId};

/// The longer ones first.
pub(super) const OPERATORS: [(&str, TokenId); 4] =
    [("=~", T_EQL_REGEX), ("!~", T_NEQ_REGEX), ("!=", T_NEQ), ("=", T_EQL)];
