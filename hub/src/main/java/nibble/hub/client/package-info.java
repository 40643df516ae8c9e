/** The hub's protocol: requests, retries, proxies, login, file stores. */
@NullMarked
package nibble.hub.client;

import org.jspecify.annotations.NullMarked;
