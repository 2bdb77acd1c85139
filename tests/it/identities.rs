//! Identities and what Airflow lets them do: each role of MWAA on one environment, signatures verified throughout.

use crate::support::{Project, Steps, airflow_turn};

/// Name and Airflow role of everybody who has keys here; `tests/clients/identities.py` knows them by name.
const PEOPLE: [(&str, &str); 6] = [
    ("admin", "Admin"),
    ("op", "Op"),
    ("user", "User"),
    ("viewer", "Viewer"),
    ("public", "Public"),
    ("stranger", "none"),
];

#[test]
fn airflow_lets_everybody_do_what_their_role_may() {
    let _turn = airflow_turn();
    let project = Project::small("people");
    let identities = PEOPLE.map(|(name, role)| {
        format!(
            "[[identity]]\naccess_key_id = \"AKIAPEOPLE0000000{name}\"\nsecret_access_key = \"{name}-secret\"\n\
             display_name = \"{name}\"\nairflow_role = \"{role}\"\n"
        )
    });
    project.write("windtunnel.toml", &format!("[aws]\nauth = \"strict\"\n{}", identities.concat()));
    let up = project.up_with_airflow();
    let mut steps = Steps::default();
    for (what, case) in [
        ("tokens say who somebody is, and who has no role gets none", "tokens"),
        ("REST: a Viewer reads, a User triggers, Op and Admin manage, Public does nothing", "rest"),
        ("CLI: a User triggers; a Viewer gets no token", "cli"),
        ("the UI: a Viewer's trigger is refused, Public sees the forbidden page", "ui"),
        ("a session that was logged out is worth nothing", "logout"),
        ("a key that nobody has is refused by every service", "strict"),
    ] {
        steps.step(what, || {
            up.python("identities.py", &[case, "people"]);
        });
    }
    drop(up);
    steps.step("a logged-out session stays so after a restart, and another one goes on", || {
        let up = project.up_with_airflow();
        up.python("identities.py", &["remembered", "people"]);
    });
    steps.finish();
}
