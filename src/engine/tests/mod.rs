//! Models and properties of the engine.
