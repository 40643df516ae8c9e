package nibble.engine.batch;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.Forward;
import nibble.engine.Llama;
import nibble.engine.backend.AttentionShape;
import nibble.engine.backend.Backend;
import nibble.engine.backend.RotaryTable;
import nibble.engine.backend.SequencePart;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.PlacedModel;

/** Runs pieces of several texts through a model together. Owns the blocks of keys and values of all layers. */
final class BatchPass implements AutoCloseable {
    /** Rows of logits that exist at a time. */
    private static final int LOGIT_ROWS = 64;

    /**
     * A run of ids of one text.
     *
     * @param blocks of the text, with room for these ids
     * @param firstLogits the first of the ids after which logits are wanted; the number of ids if after none
     */
    record Piece(int[] ids, int firstPosition, int[] blocks, int firstLogits) {}

    /** Sees the logits after an id of a piece; the array is the reader's. */
    interface LogitReader {
        void read(int piece, int id, float[] logits);
    }

    private final Llama model;
    private final Backend backend;
    private final ModelConfig config;
    private final AttentionShape heads;
    private final Forward forward;
    private final List<Matrix> keys = new ArrayList<>();
    private final List<Matrix> values = new ArrayList<>();

    BatchPass(Llama model, int blocks) {
        if (model.sharesWithHost()) {
            throw new IllegalArgumentException("the first layers of this model run on the CPU and the others on a card;"
                    + " many texts at once need all layers on one device");
        }
        this.model = model;
        this.backend = model.backend();
        this.config = model.weights().config();
        this.heads = AttentionShape.of(config);
        this.forward = new Forward(config, backend);
        int rows = Math.multiplyExact(blocks, BatchOptions.BLOCK_TOKENS);
        try {
            for (int layer = 0; layer < config.layers(); layer++) {
                keys.add(backend.allocate(rows, heads.keyColumns()));
                values.add(backend.allocate(rows, heads.keyColumns()));
            }
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    /** Computes keys, values and logits of pieces of different texts. */
    void run(List<Piece> pieces, LogitReader reader) {
        model.requireFiles();
        int rows = pieces.stream().mapToInt(piece -> piece.ids().length).sum();
        int[] ids = new int[rows];
        int[] positions = new int[rows];
        int[] cacheRows = new int[rows];
        List<SequencePart.InBlocks> parts = new ArrayList<>();
        int row = 0;
        for (Piece piece : pieces) {
            int count = piece.ids().length;
            SequencePart.InBlocks part = new SequencePart.InBlocks(
                    row, count, piece.firstPosition(), piece.blocks(), BatchOptions.BLOCK_TOKENS);
            parts.add(part);
            System.arraycopy(piece.ids(), 0, ids, row, count);
            for (int i = 0; i < count; i++) {
                positions[row + i] = piece.firstPosition() + i;
                cacheRows[row + i] = part.keyRow(positions[row + i]);
            }
            row += count;
        }
        RotaryTable rotary = forward.rotary(positions);
        PlacedModel placed = model.placed();
        try (Matrix hidden = forward.embed(placed.embedding(), ids)) {
            for (int l = 0; l < config.layers(); l++) {
                int layer = l;
                forward.layer(placed.layer(layer), hidden, (query, key, value, out) -> {
                    backend.rope(query, heads.headDim(), rotary, 1, 0);
                    backend.rope(key, heads.headDim(), rotary, 1, 0);
                    backend.scatterRows(key, cacheRows, keys.get(layer));
                    backend.scatterRows(value, cacheRows, values.get(layer));
                    backend.attention(heads, parts, query, keys.get(layer), values.get(layer), out);
                });
            }
            readLogits(pieces, hidden, reader);
        }
    }

    private void readLogits(List<Piece> pieces, Matrix hidden, LogitReader reader) {
        // [piece, id, row of hidden] of each row of logits.
        List<int[]> wanted = new ArrayList<>();
        int row = 0;
        for (int p = 0; p < pieces.size(); p++) {
            for (int i = pieces.get(p).firstLogits(); i < pieces.get(p).ids().length; i++) {
                wanted.add(new int[] {p, i, row + i});
            }
            row += pieces.get(p).ids().length;
        }
        PlacedModel placed = model.placed();
        int vocabulary = placed.head().outFeatures();
        for (int from = 0; from < wanted.size(); from += LOGIT_ROWS) {
            List<int[]> some = wanted.subList(from, Math.min(wanted.size(), from + LOGIT_ROWS));
            try (Matrix last = backend.allocate(some.size(), config.hiddenSize());
                    Matrix logits = backend.allocateSingle(some.size(), vocabulary)) {
                for (int i = 0; i < some.size(); i++) {
                    backend.copyRows(hidden, some.get(i)[2], 1, last, i);
                }
                backend.rmsNorm(last, placed.finalNorm(), config.rmsNormEps(), last);
                backend.linear(placed.head(), last, logits);
                float[] all = backend.download(logits);
                for (int i = 0; i < some.size(); i++) {
                    float[] one = Arrays.copyOfRange(all, i * vocabulary, (i + 1) * vocabulary);
                    reader.read(some.get(i)[0], some.get(i)[1], one);
                }
            }
        }
    }

    @Override
    public void close() {
        forward.close();
        keys.forEach(Matrix::close);
        values.forEach(Matrix::close);
    }
}
