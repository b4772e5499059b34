"""Sends numbered events with the client library of another product, and says how many.

Called as `doors.py CLIENT URL COUNT KEY`; see the test that calls it.
"""

import logging
import sys
import urllib.parse


def event(number, client):
    return {
        "eventSource": f"{client}.example.com",
        "eventName": "Stop" if number % 100 == 0 else "Look",
        "eventTime": f"2026-01-02T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z",
        "UID": f"{client}-{number}",
        "who": f"user-{number % 7}",
    }


def splunk(url, count, key):
    import json

    from splunk_handler import SplunkHandler

    class Formatter(logging.Formatter):
        def format(self, record):
            return json.dumps(record.msg)

    parts = urllib.parse.urlsplit(url)
    handler = SplunkHandler(
        host=parts.hostname,
        port=str(parts.port),
        token=key,
        index="main",
        protocol="http",
        verify=False,
        flush_interval=0.2,
        queue_size=0,
        sourcetype="json",
        retry_count=5,
    )
    handler.setFormatter(Formatter())
    for number in range(count):
        handler.emit(logging.makeLogRecord({"msg": event(number, "splunk")}))
    handler.shutdown()
    return count


def otlp(url, count, key):
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry._logs import LogRecord, SeverityNumber

    exporter = OTLPLogExporter(
        endpoint=f"{url}/v1/logs", headers={"Authorization": f"Bearer {key}"}, compression=Compression.Gzip
    )
    provider = LoggerProvider(resource=Resource.create({"service.name": "shop"}))
    processor = BatchLogRecordProcessor(exporter, max_queue_size=2 * count, max_export_batch_size=500)
    provider.add_log_record_processor(processor)
    logger = provider.get_logger("doors")
    for number in range(count):
        record = LogRecord(
            timestamp=1767225600_000000000 + number,
            severity_number=SeverityNumber.INFO,
            body=event(number, "otlp"),
            attributes={"number": number},
        )
        logger.emit(record)
    assert provider.force_flush(60_000)
    provider.shutdown()
    return count


def s3(url, count, bucket, prefix):
    """Puts so many delivery files of ten events each, with a digest beside them and a broken one."""
    import gzip
    import json

    import boto3

    client = boto3.client(
        "s3", endpoint_url=url, region_name="eu-central-1", aws_access_key_id="id", aws_secret_access_key="secret"
    )
    place = {"LocationConstraint": "eu-central-1"}
    if bucket not in [one["Name"] for one in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
    for number in range(count):
        records = [
            event(10 * number + one, prefix) | {"eventID": f"{prefix}-{10 * number + one}"} for one in range(10)
        ]
        body = gzip.compress(json.dumps({"Records": records}).encode())
        key = f"{prefix}/AWSLogs/1/CloudTrail/eu-central-1/a b+{number:05}.json.gz"
        client.put_object(Bucket=bucket, Key=key, Body=body)
    client.put_object(Bucket=bucket, Key=f"{prefix}/AWSLogs/1/CloudTrail-Digest/x.json.gz", Body=b"x")
    client.put_object(Bucket=bucket, Key=f"{prefix}/broken.json.gz", Body=gzip.compress(bytes(range(256)))[:50])
    return count


CLIENTS = {"otlp": otlp, "s3": s3, "splunk": splunk}

if __name__ == "__main__":
    client, url, count, *secrets = sys.argv[1:]
    print(CLIENTS[client](url, int(count), *secrets))
