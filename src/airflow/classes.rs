//! Environment classes: what each one means for Airflow's settings (facts: MWAA's user guide, "Environment classes").

use super::Component;

/// One environment class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// For example `mw1.small`.
    pub name: &'static str,
    /// Tasks that one worker runs at once; `celery.worker_autoscale` is `<slots>,0`.
    pub slots: u32,
    /// Processes that read DAG files side by side: 2 x vCPU - 1 of the scheduler, 7 at most.
    pub parsing_processes: u32,
    /// Triggers of one triggerer. MWAA names none for its smallest class; the next one's are taken.
    pub triggers: u32,
    /// Whether workers come and go with the work.
    pub autoscales: bool,
}

const fn class(name: &'static str, (slots, parsing_processes, triggers): (u32, u32, u32)) -> Class {
    Class { name, slots, parsing_processes, triggers, autoscales: true }
}

/// The classes, smallest first.
pub static CLASSES: &[Class] = &[
    Class { autoscales: false, ..class("mw1.micro", (3, 1, 60)) },
    SMALL,
    class("mw1.medium", (10, 3, 125)),
    class("mw1.large", (20, 7, 250)),
    class("mw1.xlarge", (40, 7, 500)),
    class("mw1.2xlarge", (80, 7, 1000)),
];

const SMALL: Class = class("mw1.small", (5, 1, 60));

/// The class of that name; MWAA's smallest that scales for a name that is none.
pub fn class_of(name: &str) -> Class {
    CLASSES.iter().copied().find(|class| class.name == name).unwrap_or(SMALL)
}

/// What a container has of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub vcpus: u32,
    pub memory_gb: u32,
}

impl Class {
    /// The size of the container that runs this component on MWAA.
    pub fn size(self, component: Component) -> Size {
        let web = component == Component::WebServer;
        let (vcpus, memory_gb) = match self.name {
            "mw1.micro" => (1, 3),
            "mw1.medium" if !web => (2, 4),
            "mw1.large" if web => (2, 4),
            "mw1.large" => (4, 8),
            "mw1.xlarge" if web => (4, 12),
            "mw1.xlarge" => (8, 24),
            "mw1.2xlarge" if web => (8, 24),
            "mw1.2xlarge" => (16, 48),
            _ => (1, 2),
        };
        Size { vcpus, memory_gb }
    }

    /// How many workers there may be, of what was asked for: the smallest class has one, whatever is asked.
    pub fn workers(self, (min, max): (u32, u32)) -> (u32, u32) {
        if self.autoscales { (min.max(1), max.max(min).max(1)) } else { (1, 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_class_has_one_worker_and_the_others_what_they_are_given() {
        assert_eq!(class_of("mw1.micro").workers((2, 10)), (1, 1));
        assert_eq!(class_of("mw1.large").workers((2, 10)), (2, 10));
        assert_eq!(class_of("mw1.large").slots, 20);
        assert_eq!(class_of("no such class").name, "mw1.small");
    }
}
