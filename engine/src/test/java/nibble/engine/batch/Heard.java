package nibble.engine.batch;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.jspecify.annotations.Nullable;

/** A listener that keeps what it hears. */
class Heard implements GenerationListener {
    final List<ScoredToken> tokens = new ArrayList<>();
    final CountDownLatch end = new CountDownLatch(1);
    List<ScoredToken> prompt = List.of();
    volatile @Nullable Ending ending;
    volatile @Nullable RuntimeException failure;

    @Override
    public void promptScored(List<ScoredToken> scored) {
        prompt = scored;
    }

    @Override
    public boolean token(ScoredToken token) {
        tokens.add(token);
        return true;
    }

    @Override
    public void ended(Ending how) {
        ending = how;
        end.countDown();
    }

    @Override
    public void failed(RuntimeException cause) {
        failure = cause;
        end.countDown();
    }

    int[] ids() {
        return tokens.stream().mapToInt(ScoredToken::id).toArray();
    }
}
