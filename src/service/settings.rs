//! Settings, and turning access control on and off.

use super::{Done, Service};
use crate::domain::access_control;
use crate::domain::authority::Request;
use crate::domain::settings::{rules, Settings, SettingsPatch};

impl Service {
    /// Returns all settings. They are public.
    pub fn settings(&self) -> Settings {
        self.store.read(|state, _| state.settings().clone())
    }

    /// Returns whether access control is on. This is public.
    pub fn access_control(&self) -> bool {
        self.store.read(|state, _| state.access_control())
    }

    /// Changes settings, and returns all settings.
    ///
    /// # Errors
    /// - `RuleError::Unauthorized` if the token is missing, invalid or lacks a required scope.
    /// - `RuleError::OutOfRange` if a setting does not accept its new value.
    /// - [`StoreError`](crate::store::StoreError) if the change cannot be committed.
    pub async fn patch_settings(&self, request: Request, patch: SettingsPatch) -> Done<Settings> {
        self.write(request, move |state, _, caller| {
            rules::patch(state, caller, &patch)
        })
        .await
    }

    /// Resets all settings to their defaults, and returns them.
    ///
    /// # Errors
    /// - `RuleError::Unauthorized` if the token is missing, invalid or lacks a required scope.
    /// - [`StoreError`](crate::store::StoreError) if the change cannot be committed.
    pub async fn reset_settings(&self, request: Request) -> Done<Settings> {
        self.write(request, |state, _, caller| Ok(rules::reset(state, caller)))
            .await
    }

    /// Turns access control on.
    ///
    /// # Errors
    /// - `RuleError::Unauthorized` if the token is missing, invalid or lacks a required scope.
    /// - `RuleError::AccessControlAlreadyEnabled` if access control is already on.
    /// - `RuleError::LastAdmin` if no administrator can log in.
    /// - [`StoreError`](crate::store::StoreError) if the change cannot be committed.
    pub async fn enable_access_control(&self, request: Request) -> Done<()> {
        self.write(request, |state, _, caller| {
            access_control::enable(state, caller)
        })
        .await
    }

    /// Turns access control off.
    ///
    /// # Errors
    /// - `RuleError::Unauthorized` if the token is missing, invalid or lacks a required scope.
    /// - `RuleError::AccessControlAlreadyDisabled` if access control is already off.
    /// - [`StoreError`](crate::store::StoreError) if the change cannot be committed.
    pub async fn disable_access_control(&self, request: Request) -> Done<()> {
        self.write(request, |state, _, caller| {
            access_control::disable(state, caller)
        })
        .await
    }
}
