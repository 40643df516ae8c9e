package nibble.calibrate;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import nibble.convert.Checkpoint;
import nibble.engine.Backend;
import nibble.engine.DecoderLayer;
import nibble.engine.LayerFeed;
import nibble.engine.Workers;

/**
 * The original layers where the backend computes, each hashed as it is read: the hash brings the mapped pages in, and the copy
 * to the device finds them there. Both run ahead where the backend feeds ahead. Owns the feed and its own threads.
 */
final class SourceLayers implements AutoCloseable {
    private final Checkpoint source;
    private final Workers workers;
    private final LayerFeed feed;
    private final Map<Integer, String> sha256 = new ConcurrentHashMap<>();

    SourceLayers(Checkpoint source, Backend backend, int threads) {
        this.source = source;
        this.workers = new Workers(threads);
        this.feed = backend.feed(this::read, source.config().layers());
    }

    private DecoderLayer read(int layer) {
        sha256(layer);
        return DecoderLayer.read(source, layer);
    }

    /** As {@link LayerFeed#layer}. */
    DecoderLayer layer(int index) {
        return feed.layer(index);
    }

    /** Of a layer's weights, as {@link SourceDigest} has it. */
    String sha256(int layer) {
        return sha256.computeIfAbsent(layer, i -> SourceDigest.layer(source, i, workers));
    }

    @Override
    public void close() {
        feed.close();
        workers.close();
    }
}
