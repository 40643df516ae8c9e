package nibble.engine.host.natives;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedDeque;

/**
 * Holds rows of activations, and each form of them that the kernels of some products take: products that share their
 * inputs prepare them once. Forms are prepared by one thread, before the products run; then any thread may read them.
 * Closing gives their memory back.
 */
public final class Inputs implements AutoCloseable {
    /** Memory for the next inputs. */
    private static final ConcurrentLinkedDeque<MemorySegment> ROOM = new ConcurrentLinkedDeque<>();

    /** More is not kept: the rows of some thousand tokens, or sixteen parts of the sums of 65,536 outputs. */
    private static final long MOST_KEPT = 1 << 22;

    private final float[] x;
    private final int rows;
    private final List<Prepared> made = new ArrayList<>();
    private final List<MemorySegment> lent = new ArrayList<>();

    /**
     * Takes rows.
     *
     * @param x rows one after another from its beginning
     */
    public Inputs(float[] x, int rows) {
        this.x = x;
        this.rows = rows;
    }

    public float[] values() {
        return x;
    }

    public int rows() {
        return rows;
    }

    /** Returns the rows as they are. */
    Prepared plain(int columns) {
        return new Prepared(MemorySegment.ofArray(x), null, Kernels.PLAIN, columns, rows, columns);
    }

    /** Returns the rows in a form. */
    Prepared prepared(Kernels kernels, int form, int columns) {
        for (Prepared prepared : made) {
            if (prepared.form() == form
                    && prepared.columns() == columns
                    && prepared.activations() == kernels.activations()) {
                return prepared;
            }
        }
        Prepared prepared = kernels.prepare(form, x, rows, columns, this::room);
        made.add(prepared);
        return prepared;
    }

    /**
     * Returns memory that is lent until this is closed.
     *
     * @return at least so many bytes, at a multiple of 64, that mean nothing yet
     */
    public MemorySegment room(long bytes) {
        MemorySegment kept = ROOM.poll();
        MemorySegment room =
                kept != null && kept.byteSize() >= bytes ? kept : Arena.ofAuto().allocate(Math.max(bytes, 1 << 16), 64);
        lent.add(room);
        return room;
    }

    @Override
    public void close() {
        for (MemorySegment room : lent) {
            if (room.byteSize() <= MOST_KEPT) {
                ROOM.push(room);
            }
        }
        lent.clear();
        made.clear();
    }
}
