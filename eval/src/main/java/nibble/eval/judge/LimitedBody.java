package nibble.eval.judge;

import java.io.IOException;
import java.net.http.HttpResponse.BodySubscriber;
import java.net.http.HttpResponse.BodySubscribers;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Flow;
import org.jspecify.annotations.Nullable;

/** Gathers the body of an answer up to a limit; a longer one fails by a type of its own, which Java's limit lacks. */
final class LimitedBody implements BodySubscriber<byte[]> {
    /** Reports a body that is too long. */
    static final class TooLongException extends IOException {
        private static final long serialVersionUID = 1L;

        TooLongException(String message) {
            super(message);
        }
    }

    private final BodySubscriber<byte[]> bytes = BodySubscribers.ofByteArray();
    private final long limit;
    private long taken;
    private Flow.@Nullable Subscription source;

    LimitedBody(long limit) {
        this.limit = limit;
    }

    @Override
    public CompletionStage<byte[]> getBody() {
        return bytes.getBody();
    }

    @Override
    public void onSubscribe(Flow.Subscription subscription) {
        source = subscription;
        bytes.onSubscribe(subscription);
    }

    @Override
    public void onNext(List<ByteBuffer> buffers) {
        if (taken > limit) {
            return;
        }
        for (ByteBuffer buffer : buffers) {
            taken += buffer.remaining();
        }
        if (taken <= limit) {
            bytes.onNext(buffers);
            return;
        }
        if (source != null) {
            source.cancel();
        }
        bytes.onError(new TooLongException("its answer has more than " + (limit >> 20) + " MiB"));
    }

    @Override
    public void onError(Throwable failure) {
        bytes.onError(failure);
    }

    @Override
    public void onComplete() {
        bytes.onComplete();
    }
}
