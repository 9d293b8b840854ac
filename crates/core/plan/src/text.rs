//! A plan as people read it. Every mark is a sign and a word; color, if any, is the caller's.

use std::fmt::Write as _;

use faros_model::plan::{Action, ChangeKind, Impact, Plan, Step};

/// What a step does, in a line.
pub fn title(action: &Action) -> String {
    let list = |nodes: &[faros_model::ids::HostName]| {
        nodes
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    match action {
        Action::Arm { nodes } => format!("arm {}", list(nodes)),
        Action::Forget { nodes } => format!("forget {}", list(nodes)),
        Action::Swap { service } => format!("reconfigure {}", service.as_str()),
        Action::Start { service } => format!("start {}", service.as_str()),
        Action::Stop { service } => format!("stop {}", service.as_str()),
        Action::Confirm { seconds } => format!("wait {seconds} s for a confirmation"),
        Action::Accept => "accept the generation".to_owned(),
    }
}

/// The whole plan in a line, for the history.
pub fn summary(plan: &Plan) -> String {
    if plan.is_empty() {
        return "nothing to do".to_owned();
    }
    let is_work = |action: &Action| !matches!(action, Action::Accept | Action::Confirm { .. });
    let steps = plan.steps.iter().filter(|step| is_work(&step.action));
    let titles: Vec<String> = steps.map(|step| title(&step.action)).collect();
    if titles.is_empty() {
        "recorded only".to_owned()
    } else {
        titles.join("; ")
    }
}

/// The whole plan, a block for each step.
pub fn text(plan: &Plan) -> String {
    if plan.is_empty() {
        let running = plan.base.map_or_else(
            || "nothing runs".to_owned(),
            |base| format!("generation {base} runs"),
        );
        return format!("Nothing to do: {running}, and the file says the same.\n");
    }
    let mut out = match plan.base {
        Some(base) => format!("Generation {base} -> {}\n", plan.next),
        None => format!("Generation {}, the first of this bastion\n", plan.next),
    };
    for (idx, step) in plan.steps.iter().enumerate() {
        // Writing to a `String` cannot fail.
        let _ = write!(out, "\n{}. {}\n{}", idx + 1, title(&step.action), lines(step));
    }
    let of = |impact| {
        plan.steps
            .iter()
            .flat_map(|step| &step.changes)
            .filter(|c| c.impact == impact)
            .count()
    };
    let (disruptive, destructive) = (of(Impact::Disruptive), of(Impact::Destructive));
    let steps = plan.steps.len();
    let _ = writeln!(
        out,
        "\n{steps} steps, {disruptive} disruptive changes, {destructive} that destroy data"
    );
    if let Some((idx, seconds)) = plan.window() {
        let cuts = plan.steps.get(idx).is_some_and(|step| !step.changes.is_empty());
        let why = if cuts {
            "This could cut you off"
        } else {
            "This runs on trial"
        };
        let _ = writeln!(
            out,
            "{why}: it takes itself back unless `farosctl confirm` keeps it within {seconds} s"
        );
    }
    out
}

fn lines(step: &Step) -> String {
    let widest = step
        .changes
        .iter()
        .map(|change| change.subject.chars().count())
        .max()
        .unwrap_or(0)
        .min(48);
    let mut out = String::new();
    for change in &step.changes {
        let (sign, what) = match change.kind {
            ChangeKind::Add => ('+', change.to.clone()),
            ChangeKind::Remove => ('-', change.from.clone()),
            ChangeKind::Change => ('~', format!("{} -> {}", change.from, change.to)),
        };
        let mark = match change.impact {
            Impact::None => "",
            Impact::Disruptive => "  [DISRUPTIVE]",
            Impact::Destructive => "  [DESTROYS DATA]",
        };
        let _ = writeln!(out, "   {sign} {:widest$}  {what}{mark}", change.subject);
        if !change.reason.is_empty() {
            let _ = writeln!(out, "     {:widest$}  {}", "", change.reason);
        }
    }
    out
}
