//! Length-prefixed frames, and the exchange of questions and answers made of them.
//!
//! Shape of a frame: length (4, little endian) ‖ that many bytes. The length is checked before
//! memory is reserved.
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response::Codec;
use quorate_primitives::block::ANSWER_BYTES_MAX;
use quorate_replica::wire::QUESTION_BYTES_MAX;
use std::io;

/// Reads one frame of at most `limit` bytes.
pub(super) async fn read(io: &mut (impl AsyncRead + Unpin), limit: usize) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > limit {
        let reason = format!("a frame of {length} bytes, but at most {limit} are allowed");
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    let mut content = vec![0; length];
    io.read_exact(&mut content).await?;
    Ok(content)
}

/// Appends one frame to a buffer.
pub(super) fn push(buffer: &mut Vec<u8>, content: &[u8]) {
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    buffer.extend(length.to_le_bytes());
    buffer.extend(content);
}

async fn write(io: &mut (impl AsyncWrite + Unpin), content: &[u8]) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(content.len().saturating_add(4));
    push(&mut buffer, content);
    io.write_all(&buffer).await?;
    io.close().await
}

/// Questions and answers as bytes: one frame each way on a stream of its own.
#[derive(Clone, Default)]
pub(super) struct Exchange;

impl Codec for Exchange {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        match read(io, QUESTION_BYTES_MAX).await {
            // A failure here would reach nobody; an empty question does, and is as wrong.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Vec::new()),
            other => other,
        }
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io, ANSWER_BYTES_MAX).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, question: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &question).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, answer: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &answer).await
    }
}
