//! What connections around other connections have in common.

use bytes::Buf;
use tokio::io::ReadBuf;

/// Moves what fits of `rest`, which was read before, into `buffer`, and tells how many bytes that were.
pub fn pour(rest: &mut impl Buf, buffer: &mut ReadBuf<'_>) -> usize {
    let length = rest.chunk().len().min(buffer.remaining());
    buffer.put_slice(&rest.chunk()[..length]);
    rest.advance(length);
    length
}

/// The methods of `AsyncWrite` for a connection that passes all of them on to the one in this field.
#[macro_export]
macro_rules! write_through {
    ($io:ident) => {
        fn poll_write(
            mut self: ::std::pin::Pin<&mut Self>,
            cx: &mut ::std::task::Context<'_>,
            data: &[u8],
        ) -> ::std::task::Poll<::std::io::Result<usize>> {
            ::std::pin::Pin::new(&mut self.$io).poll_write(cx, data)
        }

        fn poll_write_vectored(
            mut self: ::std::pin::Pin<&mut Self>,
            cx: &mut ::std::task::Context<'_>,
            data: &[::std::io::IoSlice<'_>],
        ) -> ::std::task::Poll<::std::io::Result<usize>> {
            ::std::pin::Pin::new(&mut self.$io).poll_write_vectored(cx, data)
        }

        fn is_write_vectored(&self) -> bool {
            self.$io.is_write_vectored()
        }

        fn poll_flush(
            mut self: ::std::pin::Pin<&mut Self>,
            cx: &mut ::std::task::Context<'_>,
        ) -> ::std::task::Poll<::std::io::Result<()>> {
            ::std::pin::Pin::new(&mut self.$io).poll_flush(cx)
        }

        fn poll_shutdown(
            mut self: ::std::pin::Pin<&mut Self>,
            cx: &mut ::std::task::Context<'_>,
        ) -> ::std::task::Poll<::std::io::Result<()>> {
            ::std::pin::Pin::new(&mut self.$io).poll_shutdown(cx)
        }
    };
}
