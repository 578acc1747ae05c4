//! Samplers: the Student-t prior and the solvers of the PFGM++ ODE.
