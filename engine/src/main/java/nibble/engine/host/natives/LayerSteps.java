package nibble.engine.host.natives;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import nibble.checkpoint.model.layer.Activation;
import nibble.engine.attention.AttentionShape;
import nibble.engine.host.natives.LayerProgram.Kind;

/** Collects the steps of a program. */
public final class LayerSteps {
    final ProgramRoom room;
    private final Kernels kernels;
    final List<long[]> steps = new ArrayList<>();
    final List<Integer> turns = new ArrayList<>();
    int phases;
    int keyColumns;

    /** Begins without steps. */
    public LayerSteps(ProgramRoom room) {
        this.room = room;
        this.kernels = room.kernels;
    }

    void add(Kind kind, long[] numbers, MemorySegment... addresses) {
        steps.add(LayerProgram.step(kind, LayerProgram.NO_PHASE, numbers, addresses));
    }

    static int count(MemorySegment floats) {
        return (int) (floats.byteSize() / 4);
    }

    static void require(boolean fits, String what) {
        if (!fits) {
            throw new IllegalArgumentException(what + " that do not fit");
        }
    }

    /** Adds {@code out = x / sqrt(mean(x²) + epsilon) * gain} of rows as long as the gain; out may be x. */
    public void norm(MemorySegment x, float[] gain, double epsilon, MemorySegment out) {
        require(gain.length > 0 && count(x) % gain.length == 0 && count(x) == count(out), "rows of a norm");
        long[] numbers = {kernels.set(), count(x) / gain.length, gain.length, Double.doubleToRawLongBits(epsilon)};
        add(Kind.NORM, numbers, x, room.copy(gain), out);
    }

    /** Adds {@code into += x}. */
    public void add(MemorySegment x, MemorySegment into) {
        require(count(x) == count(into), "summands");
        add(Kind.ADD, new long[] {kernels.set(), count(x)}, x, into);
    }

    /** Adds {@code into += bias}. */
    public void addBias(float[] bias, MemorySegment into) {
        add(room.copy(bias), into);
    }

    /** Adds {@code gate = f(gate, up)}. */
    public void gate(Activation activation, MemorySegment gate, MemorySegment up) {
        require(count(gate) == count(up), "gate and up");
        long[] numbers = {kernels.set(), Elements.number(activation), 0, count(gate)};
        add(Kind.GATE, numbers, gate, up, gate);
    }

    /** Adds the turn of heads by the angles that {@link LayerProgram#setAngles} gives before the program runs. */
    public void turn(MemorySegment x, int headDim, int half) {
        require(count(x) % headDim == 0 && 2 * half <= headDim, "heads that turn");
        turns.add(steps.size());
        long[] numbers = {kernels.set(), count(x), headDim, half};
        add(Kind.TURN, numbers, MemorySegment.NULL, MemorySegment.NULL, x);
    }

    /** Adds that the token's keys and values go to their place among those of the layer. */
    public void keep(MemorySegment key, MemorySegment value) {
        require(count(key) == count(value), "keys and values");
        keyColumns = count(key);
        add(Kind.KEEP, new long[] {keyColumns}, key, value);
    }

    /**
     * Adds attention of one query, behind {@link #keep}.
     *
     * @param capacity the most positions
     */
    public void attend(AttentionShape shape, MemorySegment query, MemorySegment out, int capacity) {
        require(
                count(query) == shape.queryColumns()
                        && count(out) == shape.queryColumns()
                        && shape.keyColumns() == keyColumns
                        && Kernels.attendsTo(shape.headDim()),
                "heads of attention");
        int seen = Kernels.room(Math.min(capacity, shape.window()));
        long[] numbers = {
            kernels.set(),
            shape.headDim(),
            shape.keyColumns(),
            0,
            shape.heads() / shape.kvHeads(),
            Float.floatToRawIntBits(shape.scale()),
            shape.window(),
            seen
        };
        MemorySegment scores = room.scores(4L * seen * shape.kvHeads());
        RowSteps heads = new RowSteps(this, query);
        heads.share(Kind.ATTEND, shape.kvHeads(), 1, shape.kvHeads(), numbers, query, scores, out);
        heads.end();
    }

    /** Returns what products with one row are added to; {@link RowSteps#end} adds them. */
    public RowSteps products(MemorySegment x) {
        return new RowSteps(this, x);
    }

    /** Returns the program of the steps so far. */
    public LayerProgram build() {
        return new LayerProgram(this);
    }
}
