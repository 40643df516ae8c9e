package nibble.engine.cuda.gradient;

import nibble.engine.attention.AttentionShape;
import nibble.engine.backend.AttentionPass;
import nibble.engine.backend.Extents;
import nibble.engine.cuda.data.CudaMatrix;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.Floats;
import nibble.engine.cuda.driver.Into;
import nibble.engine.tensor.Matrix;

/**
 * Computes attention in fp32, forwards and backwards: plain products, with the scores of one sequence in memory at a
 * time. The query heads that read one key head take turns, so that a product is a batch over key heads and its sums
 * over query heads have one order.
 */
final class SingleAttention {
    private static final String FILE = "tune_rows.cu";

    private final TuneCard card;

    SingleAttention(TuneCard card) {
        this.card = card;
    }

    /** Returns the device memory that scores of one sequence take on the way back. */
    static long bytes(AttentionShape shape, int length) {
        return 2 * DeviceMemory.rounded((long) Float.BYTES * shape.heads() * length * length);
    }

    /** Describes one sequence: where its rows begin, and how many there are. */
    private record Rows(AttentionShape shape, int query, int tokens, int key, int keys) {
        int shared() {
            return shape.heads() / shape.kvHeads();
        }

        /** Returns the query rows of the heads that are the {@code head}th of their key head. */
        Floats queries(CudaMatrix of, int head) {
            int d = shape.headDim();
            return new Floats(of.address(query), of.columns(), (long) shared() * d).from(0, (long) head * d);
        }

        Floats keys(CudaMatrix of) {
            return new Floats(of.address(key), of.columns(), shape.headDim());
        }

        Floats scores(DeviceMemory.Buffer of, int head) {
            long size = (long) tokens * keys;
            return new Floats(of.address() + Float.BYTES * head * size, keys, shared() * size);
        }
    }

    /** Does what {@link nibble.engine.backend.LayerOperations#attention} does. */
    void forward(AttentionShape shape, int sequences, Matrix q, int firstPosition, Matrix k, Matrix v, Matrix o) {
        Extents.attention(shape, sequences, q, firstPosition, k, v, o);
        CudaMatrix query = card.single(q);
        CudaMatrix keys = card.single(k);
        CudaMatrix values = card.single(v);
        CudaMatrix out = card.single(o);
        int tokens = query.rows() / sequences;
        int seen = firstPosition + tokens;
        try (DeviceMemory.Buffer scores = scores(shape, tokens, seen);
                DeviceMemory.Buffer slopes = slopes(shape, tokens, seen)) {
            for (int s = 0; s < sequences; s++) {
                Rows rows = new Rows(shape, s * tokens, tokens, s * (keys.rows() / sequences), seen);
                shares(rows, query, keys, firstPosition, scores, slopes);
                for (int head = 0; head < rows.shared(); head++) {
                    card.products(
                            Into.SET,
                            shape.kvHeads(),
                            tokens,
                            shape.headDim(),
                            seen,
                            rows.scores(scores, head),
                            rows.keys(values),
                            rows.queries(out, head));
                }
            }
        }
    }

    private DeviceMemory.Buffer scores(AttentionShape shape, int tokens, int keys) {
        return card.floats((long) shape.heads() * tokens * keys, "scores of attention");
    }

    /** The slopes of the cap of scores; next to nothing where there is none. */
    private DeviceMemory.Buffer slopes(AttentionShape shape, int tokens, int keys) {
        return shape.caps() ? scores(shape, tokens, keys) : card.floats(1, "slopes of no cap");
    }

    private static long address(AttentionShape shape, DeviceMemory.Buffer slopes) {
        return shape.caps() ? slopes.address() : 0;
    }

    /** Computes the shares that queries give to keys, [heads, tokens, keys]. */
    private void shares(
            Rows rows,
            CudaMatrix query,
            CudaMatrix keys,
            int first,
            DeviceMemory.Buffer scores,
            DeviceMemory.Buffer slopes) {
        AttentionShape shape = rows.shape;
        for (int head = 0; head < rows.shared(); head++) {
            card.products(
                    Into.SET,
                    shape.kvHeads(),
                    rows.tokens,
                    rows.keys,
                    shape.headDim(),
                    rows.queries(query, head),
                    rows.keys(keys).turned(),
                    rows.scores(scores, head));
        }
        card.blocks(
                FILE,
                "softmax",
                rows.tokens,
                shape.heads(),
                scores.address(),
                rows.keys,
                first,
                shape.window(),
                shape.scale(),
                shape.cap(),
                address(shape, slopes));
    }

    /** Takes the gradient: {@link nibble.engine.backend.GradientOperations#attention}. */
    void backward(AttentionShape shape, int sequences, AttentionPass pass) {
        CudaMatrix query = card.single(pass.query());
        CudaMatrix keys = card.single(pass.keys());
        CudaMatrix values = card.single(pass.values());
        CudaMatrix dOut = card.single(pass.dOut());
        CudaMatrix dQuery = card.single(pass.dQuery());
        CudaMatrix dKeys = card.single(pass.dKeys());
        CudaMatrix dValues = card.single(pass.dValues());
        int tokens = query.rows() / sequences;
        int batch = shape.kvHeads();
        int d = shape.headDim();
        try (DeviceMemory.Buffer shares = scores(shape, tokens, tokens);
                DeviceMemory.Buffer dShares = scores(shape, tokens, tokens);
                DeviceMemory.Buffer slopes = slopes(shape, tokens, tokens)) {
            for (int s = 0; s < sequences; s++) {
                Rows rows = new Rows(shape, s * tokens, tokens, s * tokens, tokens);
                shares(rows, query, keys, 0, shares, slopes);
                for (int head = 0; head < rows.shared(); head++) {
                    Floats from = rows.queries(dOut, head);
                    Floats dShare = rows.scores(dShares, head);
                    card.products(
                            Into.SET,
                            batch,
                            tokens,
                            tokens,
                            d,
                            from,
                            rows.keys(values).turned(),
                            dShare);
                    Floats share = rows.scores(shares, head).turned();
                    card.products(into(head), batch, tokens, d, tokens, share, from, rows.keys(dValues));
                }
                card.blocks(
                        FILE,
                        "softmax_back",
                        tokens,
                        shape.heads(),
                        shares.address(),
                        dShares.address(),
                        tokens,
                        shape.scale(),
                        address(shape, slopes));
                for (int head = 0; head < rows.shared(); head++) {
                    Floats dScore = rows.scores(dShares, head);
                    card.products(
                            Into.SET, batch, tokens, d, tokens, dScore, rows.keys(keys), rows.queries(dQuery, head));
                    card.products(
                            into(head),
                            batch,
                            tokens,
                            d,
                            tokens,
                            dScore.turned(),
                            rows.queries(query, head),
                            rows.keys(dKeys));
                }
            }
        }
    }

    private static Into into(int head) {
        return head == 0 ? Into.SET : Into.ADD;
    }
}
