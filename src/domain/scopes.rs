//! Scopes: the permissions that access tokens carry (RFC 6749 §3.3).

use std::fmt;

/// Scope. Its number is stored in the database, so the meaning of a number must never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Scope {
    /// Adding notes to the audit log.
    AuditLogWrite = 0,
    /// Changing the settings.
    AuthSettingsWrite = 1,
    /// Starting protocol analyses.
    ProtocolAnalysesWrite = 2,
    /// Uploading and deleting protocols.
    ProtocolsWrite = 3,
    /// Restarting the robot.
    RestartWrite = 4,
    /// Moving hardware: runs, pipettes and modules.
    RobotControlWrite = 5,
    /// Changing robot settings that have no narrower scope.
    RobotSettingsWrite = 6,
    /// Changing the input and output data of runs.
    RunDataWrite = 7,
    /// Signing off runs.
    RunSignoffWrite = 8,
    /// Shutting the robot down.
    ShutdownWrite = 9,
    /// Changing the authorized SSH keys.
    SshKeysWrite = 10,
    /// Setting the clock.
    SystemTimeWrite = 11,
    /// Updating the robot's software.
    UpdatesWrite = 12,
    /// Listing users and reading any user.
    UsersReadOthers = 13,
    /// Reading one's own user.
    UsersReadSelf = 14,
    /// Creating, changing and deleting users.
    UsersWrite = 15,
    /// Changing one's own user, such as its password.
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

    /// Returns the name used in requests and responses.
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

    /// Returns the scope with this name, or `None` if the name is unknown.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

/// Set of scopes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Scopes(u32);

impl Scopes {
    /// Empty set.
    pub const NONE: Self = Self(0);
    /// Set without limit, used as the ceiling of a session: it also contains scopes that the
    /// account gets later.
    pub const UNBOUNDED: Self = Self(u32::MAX);
    /// Scopes of a user who must set a new password, regardless of the account type.
    pub const SELF_ONLY: Self = Self::of(&[UsersReadSelf, UsersWriteSelf]);

    /// Creates the set of the given scopes.
    pub const fn of(scopes: &[Scope]) -> Self {
        let mut bits = 0;
        let mut next = 0;
        while next < scopes.len() {
            bits |= 1 << scopes[next] as u8;
            next += 1;
        }
        Self(bits)
    }

    /// Creates a set from the number that [`Scopes::bits`] returned.
    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Returns the set as a number for storage, in which bit n stands for the scope with number n.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Returns whether the set contains `scope`.
    pub fn contains(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    /// Returns whether every scope of this set is in `other`.
    pub fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Returns the intersection with `other`.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns the union with `other`.
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the set with `scope` added.
    #[must_use]
    pub fn with(self, scope: Scope) -> Self {
        self.or(Self::of(&[scope]))
    }

    /// Iterates over the scopes in the set, sorted by name.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL
            .into_iter()
            .filter(move |scope| self.contains(*scope))
    }

    /// Returns the names of the scopes in the set, sorted.
    pub fn names(self) -> Vec<&'static str> {
        self.iter().map(Scope::name).collect()
    }

    /// Returns the names of the scopes in the set, sorted and joined by spaces.
    pub fn joined(self) -> String {
        let length = self.iter().map(|scope| scope.name().len() + 1).sum();
        let mut joined = String::with_capacity(length);
        for scope in self.iter() {
            if !joined.is_empty() {
                joined.push(' ');
            }
            joined.push_str(scope.name());
        }
        joined
    }

    /// Parses names separated by spaces (RFC 6749 §3.3); `None` if a name is unknown.
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
        f.write_str(&self.joined())
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scopes({self})")
    }
}
