package nibble.engine;

import nibble.checkpoint.model.ModelConfig;
import nibble.engine.PrefixTree.Segment;
import nibble.engine.attention.AttentionShape;
import nibble.engine.attention.SequencePart;
import nibble.engine.backend.Backend;
import nibble.engine.forward.Chunks;
import nibble.engine.forward.Forward;
import nibble.engine.forward.Rotations;
import nibble.engine.forward.RowAttention;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.Matrix;
import org.jspecify.annotations.Nullable;

/**
 * Attention over sequences that share beginnings: a segment's queries see the keys of the segments before it and their
 * own. Keys and values must lie together, so where the segments of a sequence do not, they are brought together in a
 * copy; siblings one after another share the copy of what stands before them. Owns that copy.
 */
final class PrefixAttention implements RowAttention, AutoCloseable {
    private final Backend backend;
    private final Forward forward;
    private final PrefixTree tree;
    private final Rotations.At rotations;
    private final Matrix keys;
    private final Matrix values;

    /** @param forward of the same model and backend */
    PrefixAttention(ModelConfig config, Backend backend, Forward forward, PrefixTree tree) {
        this.backend = backend;
        AttentionShape heads = AttentionShape.of(config);
        this.forward = forward;
        this.tree = tree;
        this.rotations = forward.rotations(tree.positions());
        this.keys = backend.allocate(tree.longest(), heads.keyColumns());
        this.values = backend.allocate(tree.longest(), heads.keyColumns());
    }

    /** Rotates queries and keys, [rows of the tree, heads], then attends. */
    @Override
    public void run(DecoderLayer layer, Matrix query, Matrix key, Matrix value, Matrix out) {
        AttentionShape heads = forward.shape(layer);
        Chunks chunks = forward.chunks(layer);
        rotations.rotate(layer, query, key);
        @Nullable Segment copied = null;
        for (Segment segment : tree.segments()) {
            if (liesTogether(segment)) {
                int firstKey = segment.firstRow() - segment.firstPosition();
                chunks.attend(backend, heads, part(segment, firstKey), query, key, value, out);
                continue;
            }
            for (@Nullable Segment s = segment; s != null && s != copied; s = s.parent()) {
                backend.copyRows(key, s.firstRow(), s.length(), keys, s.firstPosition());
                backend.copyRows(value, s.firstRow(), s.length(), values, s.firstPosition());
            }
            copied = segment.parent();
            chunks.attend(backend, heads, part(segment, 0), query, keys, values, out);
        }
    }

    private static SequencePart part(Segment segment, int firstKey) {
        return new SequencePart(segment.firstRow(), segment.length(), segment.firstPosition(), firstKey);
    }

    /** Whether all that stands before a segment lies right before it. */
    private static boolean liesTogether(Segment segment) {
        Segment s = segment;
        for (Segment parent = s.parent(); parent != null; parent = s.parent()) {
            if (parent.firstRow() + parent.length() != s.firstRow()) {
                return false;
            }
            s = parent;
        }
        return true;
    }

    @Override
    public void close() {
        keys.close();
        values.close();
    }
}
