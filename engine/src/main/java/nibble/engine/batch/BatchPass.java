package nibble.engine.batch;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.Llama;
import nibble.engine.attention.AttentionShape;
import nibble.engine.attention.SequencePart;
import nibble.engine.backend.Backend;
import nibble.engine.backend.BatchDecoder;
import nibble.engine.backend.BlockCache;
import nibble.engine.forward.Forward;
import nibble.engine.forward.Rotations;
import nibble.engine.tensor.Likeliest;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.PlacedModel;
import nibble.engine.tensor.RowLogits;

/** Runs pieces of several texts through a model together. Owns the blocks of keys and values of all layers. */
final class BatchPass implements AutoCloseable {
    /** Rows of logits that exist at a time where no decoder makes them. */
    private static final int LOGIT_ROWS = 64;

    /**
     * A run of ids of one text.
     *
     * @param blocks of the text, with room for these ids
     * @param firstLogits the first of the ids after which logits are wanted; the number of ids if after none
     * @param following the id that is known to follow each, or {@link Likeliest#NONE}
     * @param temperature at which a token is drawn
     */
    record Piece(int[] ids, int firstPosition, int[] blocks, int firstLogits, int[] following, double temperature) {
        private BatchDecoder.Wanted wanted(int id) {
            return new BatchDecoder.Wanted(temperature, following[id]);
        }
    }

    /** Sees the logits after an id of a piece, which can be read until it returns. */
    interface LogitReader {
        void read(int piece, int id, RowLogits logits);
    }

    /** A row of logits that is wanted. */
    private record WantedRow(int piece, int id, int row) {}

    private final Llama model;
    private final Backend backend;
    private final ModelConfig config;
    private final Forward forward;
    private final BlockCache cache;
    private final Optional<BatchDecoder> decoder;

    /**
     * Allocates the cache.
     *
     * @param contextTokens most ids of a text
     */
    BatchPass(Llama model, BatchOptions options, int contextTokens) {
        if (model.sharesWithHost()) {
            throw new IllegalArgumentException("the first layers of this model run on the CPU and the others on a card;"
                    + " many texts at once need all layers on one device");
        }
        this.model = model;
        this.backend = model.backend();
        this.config = model.weights().config();
        this.forward = new Forward(config, backend);
        this.cache = new BlockCache(
                config, backend, options.cacheType(), options.blocks(), BatchOptions.BLOCK_TOKENS, contextTokens);
        try {
            this.decoder = backend.batchDecoder(model.placed(), cache, options.maxSequences());
        } catch (RuntimeException e) {
            cache.close();
            throw e;
        }
    }

    /** Returns the most texts whose next tokens go through the model together. */
    int textsTogether() {
        return decoder.map(BatchDecoder::mostRows).orElseGet(backend::textsTogether);
    }

    /** Computes keys, values and logits of pieces of different texts. */
    void run(List<Piece> pieces, LogitReader reader) {
        model.pass(() -> {
            compute(pieces, reader);
            return null;
        });
    }

    private void compute(List<Piece> pieces, LogitReader reader) {
        if (decoder.isPresent() && pieces.stream().allMatch(piece -> piece.ids().length == 1)) {
            next(decoder.get(), pieces, reader);
            return;
        }
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
        Rotations.At rotations = forward.rotations(positions);
        PlacedModel placed = model.placed();
        try (Matrix hidden = forward.embed(placed.embedding(), ids)) {
            for (int l = 0; l < config.layers(); l++) {
                int layer = l;
                forward.layer(placed.layer(layer), hidden, (weights, query, key, value, out) -> {
                    AttentionShape heads = forward.shape(weights);
                    rotations.rotate(weights, query, key);
                    backend.scatterRows(key, cacheRows, cache.keys(layer));
                    backend.scatterRows(value, cacheRows, cache.values(layer));
                    forward.chunks(weights)
                            .attend(backend, heads, parts, query, cache.keys(layer), cache.values(layer), out);
                });
            }
            readLogits(pieces, hidden, reader);
        }
    }

    private static void next(BatchDecoder decoder, List<Piece> pieces, LogitReader reader) {
        List<BatchDecoder.Row> rows = new ArrayList<>();
        for (Piece piece : pieces) {
            rows.add(new BatchDecoder.Row(piece.ids()[0], piece.firstPosition(), piece.blocks(), piece.wanted(0)));
        }
        List<RowLogits> logits = decoder.next(rows);
        for (int i = 0; i < pieces.size(); i++) {
            if (pieces.get(i).firstLogits() == 0) {
                reader.read(i, 0, logits.get(i));
            }
        }
    }

    private void readLogits(List<Piece> pieces, Matrix hidden, LogitReader reader) {
        List<WantedRow> wanted = new ArrayList<>();
        int row = 0;
        for (int p = 0; p < pieces.size(); p++) {
            for (int i = pieces.get(p).firstLogits(); i < pieces.get(p).ids().length; i++) {
                wanted.add(new WantedRow(p, i, row + i));
            }
            row += pieces.get(p).ids().length;
        }
        int together = decoder.map(BatchDecoder::mostLogits).orElse(LOGIT_ROWS);
        for (int from = 0; from < wanted.size(); from += together) {
            List<WantedRow> some = wanted.subList(from, Math.min(wanted.size(), from + together));
            List<RowLogits> logits =
                    decoder.isPresent() ? logits(decoder.get(), some, pieces, hidden) : logits(some, hidden);
            for (int i = 0; i < some.size(); i++) {
                reader.read(some.get(i).piece(), some.get(i).id(), logits.get(i));
            }
        }
    }

    private static List<RowLogits> logits(
            BatchDecoder decoder, List<WantedRow> wanted, List<Piece> pieces, Matrix hidden) {
        return decoder.logits(
                hidden,
                wanted.stream().mapToInt(WantedRow::row).toArray(),
                wanted.stream()
                        .map(one -> pieces.get(one.piece()).wanted(one.id()))
                        .toList());
    }

    private List<RowLogits> logits(List<WantedRow> wanted, Matrix hidden) {
        PlacedModel placed = model.placed();
        int vocabulary = placed.head().outFeatures();
        try (Matrix last = backend.allocate(wanted.size(), config.hiddenSize());
                Matrix logits = backend.allocateSingle(wanted.size(), vocabulary)) {
            backend.gatherRows(hidden, wanted.stream().mapToInt(WantedRow::row).toArray(), last);
            backend.norm(last, placed.finalNorm(), config.streamNormEps(), last);
            backend.linear(placed.head(), last, logits);
            model.finishLogits(logits);
            float[] all = backend.download(logits);
            List<RowLogits> rows = new ArrayList<>();
            for (int i = 0; i < wanted.size(); i++) {
                rows.add(RowLogits.of(Arrays.copyOfRange(all, i * vocabulary, (i + 1) * vocabulary)));
            }
            return rows;
        }
    }

    @Override
    public void close() {
        decoder.ifPresent(BatchDecoder::close);
        forward.close();
        cache.close();
    }
}
