package nibble.serve.http;

import java.util.concurrent.atomic.AtomicInteger;
import nibble.engine.batch.Ending;
import nibble.engine.batch.Generation;
import nibble.engine.batch.GenerationListener;
import nibble.engine.batch.GenerationRequest;
import nibble.engine.batch.GenerationService;
import nibble.engine.batch.ScoredToken;
import nibble.engine.batch.ServiceState;

/** Makes the same token again and again, as fast as it can. */
final class FloodService implements GenerationService {
    private static final int TOKEN = 320;

    private final AtomicInteger running = new AtomicInteger();

    @Override
    public Generation submit(GenerationRequest request, GenerationListener listener) {
        running.incrementAndGet();
        Text text = new Text();
        Thread.ofVirtual().start(() -> {
            int left = request.maxNewTokens();
            while (left > 0 && !text.cancelled && listener.token(ScoredToken.unscored(TOKEN))) {
                left--;
            }
            running.decrementAndGet();
            listener.ended(left == 0 ? Ending.LENGTH : Ending.CANCELLED);
        });
        return text;
    }

    private static final class Text implements Generation {
        private volatile boolean cancelled;

        @Override
        public void cancel() {
            cancelled = true;
        }

        @Override
        public int cachedPromptTokens() {
            return 0;
        }
    }

    @Override
    public int contextTokens() {
        return Integer.MAX_VALUE / 4;
    }

    @Override
    public ServiceState state() {
        return new ServiceState(running.get(), 0, 0, 1, 0, 0, 0, 0, 0);
    }

    @Override
    public void drain() {}

    @Override
    public void close() {}
}
