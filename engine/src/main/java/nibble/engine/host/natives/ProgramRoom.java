package nibble.engine.host.natives;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import nibble.engine.backend.Activations;
import nibble.engine.backend.Workers;

/** Holds what the programs of a model share, which run one after another. */
public final class ProgramRoom {
    final Workers workers;
    final Kernels kernels;
    final Arena arena;
    private final List<Form> forms = new ArrayList<>();
    private final List<MemorySegment> sums = new ArrayList<>();
    private MemorySegment scores = MemorySegment.NULL;

    /**
     * Makes room.
     *
     * @param arena of all that the programs need
     */
    public ProgramRoom(Workers workers, Kernels kernels, Arena arena) {
        this.workers = workers;
        this.kernels = kernels;
        this.arena = arena;
    }

    /** Returns room for so many numbers, at a multiple of 64 bytes. */
    public MemorySegment floats(int count) {
        return arena.allocate(4L * count, 64);
    }

    /** Returns a copy of numbers, at a multiple of 64 bytes. */
    public MemorySegment copy(float[] values) {
        MemorySegment copy = floats(values.length);
        MemorySegment.copy(values, 0, copy, ValueLayout.JAVA_FLOAT, 0, values.length);
        return copy;
    }

    MemorySegment scores(long bytes) {
        if (scores.byteSize() < bytes) {
            scores = arena.allocate(bytes, 64);
        }
        return scores;
    }

    /** The i-th room for sums of products that run together. */
    MemorySegment sums(int i, long bytes) {
        while (sums.size() <= i) {
            sums.add(MemorySegment.NULL);
        }
        if (sums.get(i).byteSize() < bytes) {
            sums.set(i, arena.allocate(bytes, 64));
        }
        return sums.get(i);
    }

    /** Returns room for a row in the form that some kernels take; rows in the same form share it. */
    MemorySegment form(MemorySegment x, Kernels of, int form, int columns) {
        for (Form made : forms) {
            if (made.form == form && made.way == of.activations() && made.x.equals(x)) {
                return made.memory;
            }
        }
        MemorySegment memory = floats(of.preparedFloats(form, columns));
        forms.add(new Form(x, of.activations(), form, memory));
        return memory;
    }

    private record Form(MemorySegment x, Activations way, int form, MemorySegment memory) {}
}
