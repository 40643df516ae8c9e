package nibble.engine.cuda;

import java.util.List;
import java.util.Map;
import java.util.Objects;
import nibble.engine.attention.AttentionShape;
import nibble.engine.backend.BlockCache;
import nibble.engine.cuda.attention.CachedRows;
import nibble.engine.cuda.attention.PagedAttention;
import nibble.engine.cuda.attention.PagedInputs;
import nibble.engine.cuda.data.CudaMatrix;
import nibble.engine.cuda.data.CudaWeight;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.forward.Forward;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.ExpertMlps;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Mlp;
import nibble.engine.tensor.Weight;
import org.jspecify.annotations.Nullable;

/**
 * Puts the layers of a model into the stream, for next tokens of several sequences. Where linears that share an input
 * lie in one matrix, one product makes them all, and what follows reads its rows as they are. Borrows all it is made
 * of, but for the activations of layers that it leaves to {@link Forward}.
 */
final class BatchLayers implements AutoCloseable {
    /**
     * Holds the activations of a layer, [rows, features], which layers share.
     *
     * @param qkv heads of queries, keys and values one after another
     * @param both gate and up, as the matrix of both has them
     */
    record Activations(
            CudaMatrix hidden,
            CudaMatrix normed,
            CudaMatrix qkv,
            CudaMatrix attended,
            CudaMatrix both,
            CudaMatrix gated) {
        int rows() {
            return hidden.rows();
        }
    }

    /** What all layers attend by: keys and values are the layer's own. */
    record Attending(
            AttentionShape shape,
            Map<String, Integer> constants,
            PagedInputs inputs,
            DeviceMemory.Buffer angles,
            long sinBytes,
            PagedAttention.Workspace workspace) {}

    private final CudaBackend backend;
    private final CudaPlacedModel model;
    private final BlockCache cache;
    private final Attending attending;
    private final Activations a;
    private final @Nullable GroupedExperts experts;
    private final Forward forward;

    /** @param experts null for a model without experts */
    BatchLayers(
            CudaBackend backend,
            CudaPlacedModel model,
            BlockCache cache,
            Attending attending,
            Activations a,
            @Nullable GroupedExperts experts) {
        this.backend = backend;
        this.model = model;
        this.cache = cache;
        this.attending = attending;
        this.a = a;
        this.experts = experts;
        this.forward = new Forward(model.config(), backend);
    }

    void run() {
        for (int layer = 0; layer < model.config().layers(); layer++) {
            run(layer, model.layer(layer));
        }
    }

    private void run(int index, DecoderLayer layer) {
        CudaWeight qkv = whole(List.of(layer.q(), layer.k(), layer.v()));
        boolean plain = layer.extras().isEmpty() && model.finalNorm().isPlain();
        if (plain && qkv != null) {
            attention(index, layer, qkv);
        } else {
            forward.attention(layer, a.hidden, (_, query, key, value, out) -> {
                CudaMatrix q = CudaMatrix.of(backend.resources(), query);
                CudaMatrix k = CudaMatrix.of(backend.resources(), key);
                CudaMatrix v = CudaMatrix.of(backend.resources(), value);
                attend(index, q.address(), q.columns(), k.address(), v.address(), k.columns(), out, 0);
            });
        }
        switch (layer.feedForward()) {
            case ExpertMlps mlps -> {
                backend.rmsNorm(
                        a.hidden, layer.postAttentionNorm(), model.config().streamNormEps(), a.normed);
                Objects.requireNonNull(experts).run(mlps, a.normed, a.hidden);
            }
            case Mlp mlp -> {
                CudaWeight gateUp = whole(List.of(mlp.gate(), mlp.up()));
                if (!plain || qkv == null || gateUp == null || model.config().intermediateSize() % 8 != 0) {
                    forward.mlp(layer, a.hidden);
                } else {
                    mlp(layer, gateUp);
                }
            }
        }
    }

    private void attention(int index, DecoderLayer layer, CudaWeight qkv) {
        multiply(qkv, normed(layer.inputNorm(), qkv), a.qkv, false);
        long query = a.qkv.address();
        long key = query + 2L * attending.shape.queryColumns();
        long value = key + 2L * attending.shape.keyColumns();
        Input attended = input(a.attended, layer.o());
        attend(index, query, a.qkv.columns(), key, value, a.qkv.columns(), attended.rows, attended.arranged);
        multiply(layer.o(), attended, a.hidden, true);
    }

    private void mlp(DecoderLayer layer, CudaWeight gateUp) {
        multiply(gateUp, normed(layer.postAttentionNorm(), gateUp), a.both, false);
        Input gated = input(a.gated, layer.down());
        backend.elementwise.gluOfRows(
                model.config().architecture().activation(), gateUp, a.both, gated.rows, gated.arranged);
        multiply(layer.down(), gated, a.hidden, true);
    }

    /**
     * Holds the input of a product.
     *
     * @param arranged 0 where rows are row-major, else as {@link Products#arrangement} says
     */
    private record Input(CudaMatrix rows, int arranged) {}

    private Input input(CudaMatrix rows, Weight weight) {
        return new Input(
                rows, weight instanceof CudaWeight placed ? backend.products.arrangement(placed, rows.rows()) : 0);
    }

    private Input normed(float[] gain, CudaWeight weight) {
        Input normed = input(a.normed, weight);
        backend.elementwise.rmsNorm(a.hidden, gain, model.config().streamNormEps(), normed.rows, normed.arranged);
        return normed;
    }

    private void multiply(Weight weight, Input input, CudaMatrix out, boolean accumulate) {
        if (input.arranged > 0 && weight instanceof CudaWeight.Tiled tiled) {
            backend.products.multiplyArranged(input.rows, tiled, out, accumulate);
        } else {
            backend.linears.multiply(weight, input.rows, out, accumulate);
        }
    }

    private void attend(
            int layer, long query, int queryStride, long key, long value, int keyStride, Matrix out, int arranged) {
        long cos = attending.angles.address();
        backend.paged.launch(
                attending.shape,
                attending.constants,
                attending.inputs,
                new PagedAttention.NewRows(query, queryStride, key, value, keyStride, cos, cos + attending.sinBytes),
                CachedRows.of(backend.resources(), cache.keys(layer)),
                CachedRows.of(backend.resources(), cache.values(layer)),
                CudaMatrix.of(backend.resources(), out, false),
                arranged,
                attending.workspace);
    }

    /** Returns the matrix that these weights make together, if they lie so. */
    static @Nullable CudaWeight whole(List<Weight> weights) {
        int rows = weights.stream().mapToInt(Weight::outFeatures).sum();
        switch (weights.getFirst()) {
            case CudaWeight.Tiled first -> {
                boolean one = first.matrix().rows() == rows
                        && weights.stream()
                                .allMatch(w -> w instanceof CudaWeight.Tiled part && part.matrix() == first.matrix());
                return one ? new CudaWeight.Tiled(first.name(), rows, first.matrix(), 0, 8) : null;
            }
            case CudaWeight.Dense first -> {
                long end = first.offset();
                for (Weight weight : weights) {
                    if (!(weight instanceof CudaWeight.Dense next)
                            || next.buffer() != first.buffer()
                            || next.offset() != end) {
                        return null;
                    }
                    end += 2L * next.outFeatures() * next.inFeatures();
                }
                return new CudaWeight.Dense(first.name(), rows, first.inFeatures(), first.buffer(), first.offset());
            }
            default -> {
                return null;
            }
        }
    }

    @Override
    public void close() {
        forward.close();
    }
}
