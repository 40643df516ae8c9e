package nibble.hub;

import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Predicate;

/** What goes wrong with a request of the fake hub, and how often. */
public final class Fault {
    enum Kind {
        /** The answer is a status, before anything is done. */
        STATUS,
        /** The connection ends after {@code at} bytes of the request's body. */
        CUT_REQUEST,
        /** The request is carried out, and the connection ends before the answer. */
        LOSE_ANSWER,
        /** The answer's body ends after {@code at} bytes. */
        CUT_ANSWER,
        /** An upload is taken without an ETag. */
        NO_ETAG,
        /** One byte of the answer's body is another. */
        FLIP_BYTE,
        /** A Range is not heeded: the whole comes with status 200. */
        IGNORE_RANGE,
        /** Another commit comes just before. */
        OVERTAKE
    }

    final Predicate<FakeHub.Seen> when;
    final Kind kind;
    final int status;
    final long at;
    final Map<String, String> headers;
    final AtomicInteger left;

    private Fault(
            Predicate<FakeHub.Seen> when, Kind kind, int status, long at, Map<String, String> headers, int times) {
        this.when = when;
        this.kind = kind;
        this.status = status;
        this.at = at;
        this.headers = headers;
        this.left = new AtomicInteger(times);
    }

    public static Fault status(String method, String pathPart, int status, int times, Map<String, String> headers) {
        return new Fault(matching(method, pathPart), Kind.STATUS, status, 0, headers, times);
    }

    /** An answer of status 200 that is not what was asked for, once. */
    static Fault answer(String method, String pathPart, String body) {
        return new Fault(matching(method, pathPart), Kind.STATUS, 200, 0, Map.of("X-Body", body), 1);
    }

    static Fault of(Kind kind, String method, String pathPart, long at, int times) {
        return new Fault(matching(method, pathPart), kind, 0, at, Map.of(), times);
    }

    private static Predicate<FakeHub.Seen> matching(String method, String pathPart) {
        return seen -> seen.method().equals(method) && seen.path().contains(pathPart);
    }
}
