//! What goes wrong before there is a cluster, and what people read then.
