//! The halves of a stream of Unix domain sockets.

use super::SocketAddr;
use super::stream::UnixStream;
use crate::net::halves::halves;

halves!(UnixStream, SocketAddr);
