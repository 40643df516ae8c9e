package nibble.hub.client;

import java.io.IOException;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.Flow;
import java.util.function.LongConsumer;
import nibble.files.Reasons;

/**
 * Bytes of a file as a request's body, with an exact Content-Length. The JDK has publishers of whole files and of
 * streams of unknown length; object stores want slices of known length. Holds one buffer at a time, whatever the
 * slice's length.
 *
 * @param offset first byte
 * @param length bytes
 */
record FileSlice(Path file, long offset, long length) {
    private static final int BUFFER_BYTES = 256 << 10;

    /**
     * A body that is read while it is sent.
     *
     * @param sent told the bytes handed to the connection, and takes them back (negative) when a try fails
     */
    BodyPublisher body(LongConsumer sent) {
        if (length == 0) {
            return BodyPublishers.noBody();
        }
        return BodyPublishers.fromPublisher(
                subscriber -> subscriber.onSubscribe(new Reading(subscriber, sent)), length);
    }

    private final class Reading implements Flow.Subscription {
        private final Flow.Subscriber<? super ByteBuffer> subscriber;
        private final LongConsumer sent;
        private final FileChannel channel;
        private long position = offset;
        private long demand;
        private boolean delivering;
        private boolean done;

        Reading(Flow.Subscriber<? super ByteBuffer> subscriber, LongConsumer sent) {
            this.subscriber = subscriber;
            this.sent = sent;
            try {
                channel = FileChannel.open(file, StandardOpenOption.READ);
            } catch (IOException e) {
                throw new java.io.UncheckedIOException(file + ": cannot be read: " + Reasons.of(e), e);
            }
        }

        @Override
        public void request(long n) {
            synchronized (this) {
                demand += n;
                if (delivering || done) {
                    // The thread that is delivering sees the new demand; onNext may call back here.
                    return;
                }
                delivering = true;
            }
            deliver();
        }

        private void deliver() {
            while (true) {
                synchronized (this) {
                    if (done || demand == 0) {
                        delivering = false;
                        return;
                    }
                    demand--;
                }
                try {
                    next();
                } catch (IOException e) {
                    finish();
                    subscriber.onError(e);
                }
            }
        }

        private void next() throws IOException {
            // The client keeps a buffer until it is written, so each is a new one; they die young.
            ByteBuffer buffer = ByteBuffer.allocate((int) Math.min(BUFFER_BYTES, offset + length - position));
            while (buffer.hasRemaining()) {
                int read = channel.read(buffer, position + buffer.position());
                if (read < 0) {
                    throw new IOException(file + ": became shorter while it was sent");
                }
            }
            position += buffer.capacity();
            sent.accept(buffer.capacity());
            subscriber.onNext(buffer.flip());
            if (position == offset + length) {
                finish();
                subscriber.onComplete();
            }
        }

        @Override
        public void cancel() {
            finish();
        }

        private void finish() {
            synchronized (this) {
                done = true;
            }
            try {
                channel.close();
            } catch (IOException e) {
                // Nothing was written; there is nothing to lose.
            }
        }
    }
}
