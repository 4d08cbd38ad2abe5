//! Settings, and the switch of access control.

use super::{Done, Service};
use crate::domain::access_control;
use crate::domain::authority::Request;
use crate::domain::settings::{rules, Settings, SettingsPatch};

impl Service {
    /// All settings, which anybody may know.
    pub fn settings(&self) -> Settings {
        self.store.read(|state, _| state.settings().clone())
    }

    /// Whether access control is on, which anybody may know.
    pub fn access_control(&self) -> bool {
        self.store.read(|state, _| state.access_control())
    }

    /// Changes settings.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn patch_settings(&self, request: Request, patch: SettingsPatch) -> Done<Settings> {
        self.write(request, move |state, _, caller| {
            rules::patch(state, caller, &patch)
        })
        .await
    }

    /// Puts settings back to their defaults.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn reset_settings(&self, request: Request) -> Done<Settings> {
        self.write(request, |state, _, caller| Ok(rules::reset(state, caller)))
            .await
    }

    /// Turns access control on.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn enable_access_control(&self, request: Request) -> Done<()> {
        self.write(request, |state, _, caller| {
            access_control::enable(state, caller)
        })
        .await
    }

    /// Turns access control off.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn disable_access_control(&self, request: Request) -> Done<()> {
        self.write(request, |state, _, caller| {
            access_control::disable(state, caller)
        })
        .await
    }
}
