//! Folders of diffusers, against outputs of its own networks and schedulers.

mod folder;
mod layouts;
mod networks;
mod refusals;
mod schedulers;
