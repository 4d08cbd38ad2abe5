//! Scopes, and which account type has which of them.

use std::fmt;

/// One permission. Its number is stored in databases and never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Scope {
    /// Add notes to the audit log.
    AuditLogWrite = 0,
    /// Change the settings.
    AuthSettingsWrite = 1,
    /// Start protocol analyses.
    ProtocolAnalysesWrite = 2,
    /// Upload and delete protocols.
    ProtocolsWrite = 3,
    /// Restart the robot.
    RestartWrite = 4,
    /// Move things: runs, pipettes, modules.
    RobotControlWrite = 5,
    /// Robot settings with no narrower scope.
    RobotSettingsWrite = 6,
    /// Data that goes into or comes out of a run.
    RunDataWrite = 7,
    /// Sign off a run.
    RunSignoffWrite = 8,
    /// Shut the robot down.
    ShutdownWrite = 9,
    /// Edit authorized SSH keys.
    SshKeysWrite = 10,
    /// Set the clock.
    SystemTimeWrite = 11,
    /// Update the robot's software.
    UpdatesWrite = 12,
    /// List users and read any of them.
    UsersReadOthers = 13,
    /// Read oneself.
    UsersReadSelf = 14,
    /// Create, change and delete users.
    UsersWrite = 15,
    /// Change oneself, the password above all.
    UsersWriteSelf = 16,
}

use Scope::{
    AuditLogWrite, AuthSettingsWrite, ProtocolAnalysesWrite, ProtocolsWrite, RestartWrite,
    RobotControlWrite, RobotSettingsWrite, RunDataWrite, RunSignoffWrite, ShutdownWrite,
    SshKeysWrite, SystemTimeWrite, UpdatesWrite, UsersReadOthers, UsersReadSelf, UsersWrite,
    UsersWriteSelf,
};

impl Scope {
    /// All scopes, sorted by name.
    pub const ALL: [Self; 17] = [
        AuditLogWrite,
        AuthSettingsWrite,
        ProtocolAnalysesWrite,
        ProtocolsWrite,
        RestartWrite,
        RobotControlWrite,
        RobotSettingsWrite,
        RunDataWrite,
        RunSignoffWrite,
        ShutdownWrite,
        SshKeysWrite,
        SystemTimeWrite,
        UpdatesWrite,
        UsersReadOthers,
        UsersReadSelf,
        UsersWrite,
        UsersWriteSelf,
    ];

    /// The name in requests and answers.
    pub const fn name(self) -> &'static str {
        match self {
            AuditLogWrite => "audit_log.write",
            AuthSettingsWrite => "auth_settings.write",
            ProtocolAnalysesWrite => "protocol_analyses.write",
            ProtocolsWrite => "protocols.write",
            RestartWrite => "restart.write",
            RobotControlWrite => "robot_control.write",
            RobotSettingsWrite => "robot_settings.write",
            RunDataWrite => "run_data.write",
            RunSignoffWrite => "run_signoff.write",
            ShutdownWrite => "shutdown.write",
            SshKeysWrite => "ssh_keys.write",
            SystemTimeWrite => "system_time.write",
            UpdatesWrite => "updates.write",
            UsersReadOthers => "users.read.others",
            UsersReadSelf => "users.read.self",
            UsersWrite => "users.write",
            UsersWriteSelf => "users.write.self",
        }
    }

    /// The scope of a name, or `None` when there is none.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Scopes(u32);

impl Scopes {
    /// No scope.
    pub const NONE: Self = Self(0);
    /// No bound: whatever an account may have, now or later.
    pub const UNBOUNDED: Self = Self(u32::MAX);
    /// All that a user may do who must set a new password, whatever the account type.
    pub const SELF_ONLY: Self = Self::of(&[UsersReadSelf, UsersWriteSelf]);

    /// The set of these scopes.
    pub const fn of(scopes: &[Scope]) -> Self {
        let mut bits = 0;
        let mut next = 0;
        while next < scopes.len() {
            bits |= 1 << scopes[next] as u8;
            next += 1;
        }
        Self(bits)
    }

    /// The set that [`Scopes::bits`] gave.
    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// A number for the set, for storing: bit n is the scope numbered n.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Whether `scope` is in the set.
    pub fn contains(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    /// Whether every scope of this set is in `other`.
    pub fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// The scopes that are in both.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The scopes that are in either.
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The set with `scope` in it.
    #[must_use]
    pub fn with(self, scope: Scope) -> Self {
        self.or(Self::of(&[scope]))
    }

    /// Its scopes, sorted by name.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL
            .into_iter()
            .filter(move |scope| self.contains(*scope))
    }

    /// The names of its scopes, sorted.
    pub fn names(self) -> Vec<&'static str> {
        self.iter().map(Scope::name).collect()
    }

    /// Reads names that are separated by spaces (RFC 6749 §3.3). `None` when one is unknown.
    pub fn parse(text: &str) -> Option<Self> {
        text.split(' ')
            .filter(|name| !name.is_empty())
            .try_fold(Self::NONE, |scopes, name| {
                Scope::from_name(name).map(|scope| scopes.with(scope))
            })
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, scope) in self.iter().enumerate() {
            if number > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scopes({self})")
    }
}
