package nibble.convert.hub;

import java.net.http.HttpHeaders;
import java.time.Duration;
import java.util.OptionalLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * How often a request is tried and how long between: doubling pauses, or what the hub's rate limit asks for.
 *
 * @param attempts tries in all
 * @param firstPause pause after the first failure; doubled each time
 * @param longestPause most that doubling comes to
 * @param sleeper what waits; tests do not
 */
record Retries(int attempts, Duration firstPause, Duration longestPause, Sleeper sleeper) {
    /** The pauses of the hub's own tools. */
    static final Retries STANDARD =
            new Retries(5, Duration.ofSeconds(1), Duration.ofSeconds(8), pause -> Thread.sleep(pause));

    /** A hub that asks for longer is not waited for. */
    private static final long LONGEST_LIMIT_SECONDS = 600;

    /** The hub's {@code ratelimit: "api";r=0;t=55}: nothing left, 55 s until there is. */
    private static final Pattern RATE_LIMIT = Pattern.compile("\\bt=(\\d{1,9})");

    interface Sleeper {
        void sleep(Duration pause) throws InterruptedException;
    }

    static boolean worthwhile(int status) {
        return switch (status) {
            case 408, 429, 500, 502, 503, 504 -> true;
            default -> false;
        };
    }

    /** Waits before try {@code attempt + 1}. */
    void pause(int attempt, HttpHeaders headers, int status) {
        Duration pause = firstPause.multipliedBy(1L << Math.min(attempt - 1, 20));
        if (pause.compareTo(longestPause) > 0) {
            pause = longestPause;
        }
        OptionalLong asked = status == 429 || status == 503 ? secondsAsked(headers) : OptionalLong.empty();
        if (asked.isPresent()) {
            pause = Duration.ofSeconds(Math.min(asked.getAsLong(), LONGEST_LIMIT_SECONDS));
        }
        try {
            sleeper.sleep(pause);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new HubException("interrupted while waiting for the hub", -1, "", e);
        }
    }

    private static OptionalLong secondsAsked(HttpHeaders headers) {
        Matcher limit = RATE_LIMIT.matcher(headers.firstValue("ratelimit").orElse(""));
        if (limit.find()) {
            // One second more, since the hub's seconds are rounded down.
            return OptionalLong.of(Long.parseLong(limit.group(1)) + 1);
        }
        String after = headers.firstValue("retry-after").orElse("");
        return after.matches("\\d{1,9}") ? OptionalLong.of(Long.parseLong(after)) : OptionalLong.empty();
    }
}
