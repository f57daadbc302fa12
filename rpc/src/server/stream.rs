//! A TCP connection that counts against the limits and does not outlive a client that takes nothing.
//!
//! While a client takes no bytes, none are read from it either: whoever sends requests without
//! reading the answers fills its own buffers, not ours.
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// A stream with a write deadline that owns whatever must live as long as it does.
pub(crate) struct Guarded<S, P> {
    stream: S,
    stall: Duration,
    /// Until when the write that waits must go on.
    deadline: Option<Instant>,
    /// Reading and writing may be two tasks, and a timer wakes only one.
    writing: Timer,
    reading: Timer,
    /// The task that waits for something to read.
    reader: Option<Waker>,
    _permit: P,
}

#[derive(Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    fn poll(&mut self, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline))).as_mut().poll(context)
    }
}

impl<S, P> Guarded<S, P> {
    /// Watches a stream; `permit` is released when it is closed.
    pub(crate) fn new(stream: S, stall: Duration, permit: P) -> Self {
        let (writing, reading) = (Timer::default(), Timer::default());
        Self { stream, stall, deadline: None, writing, reading, reader: None, _permit: permit }
    }

    fn stalled<T>(&self) -> io::Result<T> {
        let reason = format!("the client took no bytes for {} ms", self.stall.as_millis());
        Err(io::Error::new(io::ErrorKind::TimedOut, reason))
    }

    fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// Passes a finished write on, or starts the deadline of one that waits.
    fn watch<T>(&mut self, context: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            let was_stalled = self.deadline.take().is_some();
            (self.writing, self.reading) = (Timer::default(), Timer::default());
            if was_stalled {
                self.wake_reader();
            }
            return result;
        }
        let stall = self.stall;
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + stall);
        ready!(self.writing.poll(deadline, context));
        self.wake_reader();
        Poll::Ready(self.stalled())
    }
}

impl<S: AsyncRead + Unpin, P: Unpin> AsyncRead for Guarded<S, P> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.reader = Some(context.waker().clone());
        if let Some(deadline) = this.deadline {
            ready!(this.reading.poll(deadline, context));
            return Poll::Ready(this.stalled());
        }
        Pin::new(&mut this.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin, P: Unpin> AsyncWrite for Guarded<S, P> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.watch(context, result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.watch(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_flush(context);
        // A flush that is ready says nothing about a write that waits.
        if result.is_pending() { this.watch(context, result) } else { result }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_shutdown(context);
        this.watch(context, result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_cut() {
        let (server, client) = tokio::io::duplex(16);
        let mut guarded = Guarded::new(server, Duration::from_millis(20), ());
        let error = guarded.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(client);
    }

    #[tokio::test]
    async fn a_task_that_reads_ends_with_the_one_that_writes() {
        let (server, client) = tokio::io::duplex(16);
        let (mut reader, mut writer) = tokio::io::split(Guarded::new(server, Duration::from_millis(20), ()));
        let reading = tokio::spawn(async move { reader.read_u8().await });
        tokio::task::yield_now().await;
        assert!(writer.write_all(&[0; 64]).await.is_err());
        assert_eq!(reading.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(client);
    }

    #[tokio::test]
    async fn nothing_is_read_while_a_write_waits_and_reading_goes_on_after_it() {
        let (server, mut client) = tokio::io::duplex(16);
        client.write_all(b"request").await.unwrap();
        let (mut reader, mut writer) = tokio::io::split(Guarded::new(server, Duration::from_secs(60), ()));
        let writing = tokio::spawn(async move { writer.write_all(&[1; 40]).await });
        let mut taken = [0; 8];
        client.read_exact(&mut taken).await.unwrap();
        let mut request = [0; 7];
        let read = reader.read_exact(&mut request);
        tokio::pin!(read);
        // The write is still waiting for room, since 40 bytes do not fit the 16 of the pipe.
        assert!(futures::poll!(&mut read).is_pending());
        let mut rest = [0; 32];
        client.read_exact(&mut rest).await.unwrap();
        writing.await.unwrap().unwrap();
        read.await.unwrap();
        assert_eq!(&request, b"request");
    }
}
