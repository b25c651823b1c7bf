//! Where a stack's components are: what is ours is put in the place that it has in this copy, what is somebody else's stays.

use std::path::{Path, PathBuf};

use super::{Rendering, Walk};
use crate::monitoring::addresses::{Addresses, Place};
use crate::monitoring::role::Layout;
use aiclipx_base::address::Address;

impl Walk<'_> {
    /// A path below one of the folders that a stack has of its own.
    pub(super) fn below(&mut self, line: usize, from: &str, to: fn(&Addresses) -> &PathBuf, text: &mut String) {
        if self.layout == Layout::Any {
            return;
        }
        match Path::new(text.as_str()).strip_prefix(from) {
            Ok(inside) => {
                if let Some(rendering) = self.rendering {
                    *text = to(rendering.addresses).join(inside).to_string_lossy().into_owned();
                }
            }
            Err(_) => self.remark("address/elsewhere", line, format!("`{text}` does not lie in {from}"), ""),
        }
    }

    /// In a container any address is its own, unless nobody else is to reach it; a local stack's is its loopback.
    pub(super) fn listen(&mut self, line: usize, component: Place, text: &mut String) {
        if self.layout == Layout::Any {
            return;
        }
        let canonical = Addresses::canonical();
        let at = &component.of(&canonical)[0];
        let wanted = format!("0.0.0.0:{}", at.port);
        if *text != wanted && (*text != at.to_string() || *at != Address::loopback(at.port)) {
            self.remark("address/elsewhere", line, format!("`{text}` is not {wanted}"), "");
        } else if let Some(Rendering { addresses, .. }) = self.rendering
            && *addresses != canonical
        {
            *text = component.of(addresses)[0].to_string();
        }
    }

    /// An address that leads elsewhere is a remark of that name.
    pub(super) fn url(&mut self, name: &'static str, line: usize, component: Place, text: &mut String) {
        if self.layout == Layout::Any {
            return;
        }
        let canonical = Addresses::canonical();
        let from = component.of(&canonical)[0].url("/");
        match text.strip_prefix(&from) {
            Some(rest) => {
                if let Some(Rendering { addresses, .. }) = self.rendering {
                    let path = format!("/{rest}");
                    *text = match &addresses.external {
                        Some(external) if component == Place::Dashboards => external.to(&path),
                        _ => component.of(addresses)[0].url(&path),
                    };
                }
            }
            None if format!("{text}/") == from => {
                if let Some(Rendering { addresses, .. }) = self.rendering {
                    component.of(addresses)[0].url("").clone_into(text);
                }
            }
            None => self.remark(name, line, format!("`{text}` does not lead to {}", from.trim_end_matches('/')), ""),
        }
    }

    /// A page of this repository, which has an address once there is a place for pages.
    pub(super) fn page(&self, text: &mut String) {
        if self.layout == Layout::Any {
            return;
        }
        let external = self.rendering.and_then(|rendering| rendering.addresses.external.as_ref());
        let path = text.trim_start_matches('/');
        if let Some(external) = external.filter(|_| path.starts_with("monitoring/")) {
            *text = external.to(&format!("/{path}"));
        }
    }
}
