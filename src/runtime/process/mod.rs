//! Components as supervised child processes, forked from one warm interpreter per environment.
