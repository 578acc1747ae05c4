//! From sigma to r: noise laws, schedules, preconditioning and effective noise.
