package nibble.engine;

import java.util.Optional;
import nibble.engine.backend.Backend;
import nibble.engine.backend.Decoder;
import nibble.engine.backend.Extents;
import nibble.engine.backend.KeyValueCache;
import nibble.engine.forward.Forward;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.PlacedModel;
import org.jspecify.annotations.Nullable;

/**
 * Holds one growing sequence with its KV cache. Owns the cache; used by one thread at a time.
 *
 * <p>Where a model has dynamic-NTK rope and the sequence outgrows its positions, keys keep the rotation of the length
 * they were appended at, as in transformers; a full forward pass of the whole sequence then differs.
 */
public final class Session implements AutoCloseable {
    private final Llama model;
    private final Forward forward;
    private final KeyValueCache cache;
    /** What the host computes of a token; null where the backend computes all. */
    private final @Nullable HostSession host;

    private @Nullable Optional<Decoder> decoder;
    private @Nullable LastRow last;

    Session(Llama model, int capacity) {
        this.model = model;
        this.forward = new Forward(model.weights().config(), model.backend());
        this.cache = new KeyValueCache(model.placed().config(), model.backend(), capacity);
        HostLayers first = model.host();
        this.host =
                first == null ? null : new HostSession(first, model.weights().config(), capacity);
    }

    /** Returns the tokens so far. */
    public int length() {
        return cache.length();
    }

    /** Returns the most tokens this session can hold. */
    public int capacity() {
        return cache.capacity();
    }

    /**
     * Appends {@code ids}.
     *
     * @param ids at least one; with those before them at most {@link #capacity()}
     * @return the logits after the last id, [vocabulary], valid until the next call
     * @throws IllegalArgumentException for no ids, an id outside the vocabulary, or too many
     */
    public float[] append(int[] ids) {
        return model.pass(() -> appended(ids));
    }

    private float[] appended(int[] ids) {
        if (ids.length == 0) {
            throw new IllegalArgumentException("no token ids to append");
        }
        if (cache.length() + ids.length > cache.capacity()) {
            throw new IllegalArgumentException("context overflow: " + cache.length() + " tokens held and " + ids.length
                    + " to append, the session's capacity is " + cache.capacity());
        }
        if (ids.length == 1 && decoder().isPresent()) {
            Extents.ids(model.weights().embedding(), ids);
            float[] logits = host == null
                    ? decoder().get().next(ids[0])
                    : decoder().get().next(host.run(ids));
            cache.advance(1);
            return logits;
        }
        PlacedModel weights = model.placed();
        Backend backend = model.backend();
        try (Matrix hidden = entering(ids)) {
            for (int layer = 0; layer < weights.config().layers(); layer++) {
                forward.layer(weights.layer(layer), hidden, cache, layer);
            }
            cache.advance(ids.length);
            LastRow row = lastRow();
            backend.copyRows(hidden, ids.length - 1, 1, row.stream(), 0);
            backend.norm(row.stream(), weights.finalNorm(), weights.config().streamNormEps(), row.stream());
            backend.linear(weights.head(), row.stream(), row.logits());
            model.finishLogits(row.logits());
            return backend.download(row.logits());
        }
    }

    /** Kept from call to call: a matrix of a large vocabulary's logits would be most of a token's garbage. */
    private LastRow lastRow() {
        if (last == null) {
            PlacedModel weights = model.placed();
            Matrix stream = model.backend().allocate(1, weights.config().hiddenSize());
            try {
                last = new LastRow(
                        stream, model.backend().allocateSingle(1, weights.head().outFeatures()));
            } catch (RuntimeException e) {
                stream.close();
                throw e;
            }
        }
        return last;
    }

    /** The last id's residual stream, [1, hidden], and logits, [1, vocabulary]. */
    private record LastRow(Matrix stream, Matrix logits) {
        void close() {
            stream.close();
            logits.close();
        }
    }

    /** The residual stream in front of the backend's layers. */
    private Matrix entering(int[] ids) {
        return host == null
                ? forward.embed(model.placed().embedding(), ids)
                : model.backend()
                        .upload(
                                host.run(ids),
                                ids.length,
                                model.weights().config().hiddenSize());
    }

    /** Made when first needed: a session that only reads a prompt does without. */
    private Optional<Decoder> decoder() {
        if (decoder == null) {
            decoder = model.backend().decoder(model.placed(), cache);
        }
        return decoder;
    }

    @Override
    public void close() {
        if (decoder != null) {
            decoder.ifPresent(Decoder::close);
        }
        if (last != null) {
            last.close();
        }
        forward.close();
        cache.close();
        if (host != null) {
            host.close();
        }
    }
}
