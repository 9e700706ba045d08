"""Microsoft's own Graph client drives this app: its base URL is ours, the server is real, and so is all behind it."""

from __future__ import annotations

import asyncio
import importlib
import json
import warnings

import httpx
import pytest

from tests.api_place import ApiPlace, on_a_port
from tests.emulators import servicenow

with warnings.catch_warnings():
    # The SDK's own base class warns where it is used.
    warnings.simplefilter("ignore", DeprecationWarning)
    from kiota_abstractions.api_error import APIError
    from kiota_abstractions.authentication import AnonymousAuthenticationProvider
    from kiota_abstractions.base_request_configuration import RequestConfiguration
    from kiota_abstractions.method import Method
    from msgraph import GraphRequestAdapter, GraphServiceClient
    from msgraph.generated.audit_logs.provisioning.provisioning_request_builder import ProvisioningRequestBuilder
    from msgraph.generated.models.synchronization_job_application_parameters import (
        SynchronizationJobApplicationParameters as Parameters,
    )
    from msgraph.generated.models.synchronization_job_restart_criteria import SynchronizationJobRestartCriteria
    from msgraph.generated.models.synchronization_job_restart_scope import SynchronizationJobRestartScope
    from msgraph.generated.models.synchronization_job_subject import SynchronizationJobSubject
    from msgraph.generated.models.synchronization_secret import SynchronizationSecret
    from msgraph.generated.models.synchronization_secret_key_string_value_pair import (
        SynchronizationSecretKeyStringValuePair as Secret,
    )

    def body_of(module: str, name: str):
        """Its names are longer than a line."""
        found = importlib.import_module(f"msgraph.generated.service_principals.item.synchronization.{module}")
        return getattr(found, name)

    RestartBody = body_of("jobs.item.restart.restart_post_request_body", "RestartPostRequestBody")
    CredentialsBody = body_of(
        "jobs.item.validate_credentials.validate_credentials_post_request_body", "ValidateCredentialsPostRequestBody"
    )
    OnDemandBody = body_of(
        "jobs.item.provision_on_demand.provision_on_demand_post_request_body", "ProvisionOnDemandPostRequestBody"
    )
    SecretsBody = body_of("secrets.secrets_put_request_body", "SecretsPutRequestBody")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def place(tmp_path) -> ApiPlace:
    return ApiPlace(tmp_path)


def drive(place: ApiPlace, story) -> None:
    """The story is called with a client of Graph, and the job's part of it."""

    async def whole() -> None:
        async with on_a_port(place) as address, httpx.AsyncClient(timeout=60) as http:
            adapter = GraphRequestAdapter(AnonymousAuthenticationProvider(), client=http)
            adapter.base_url = f"{address}/v1.0"
            client = GraphServiceClient(request_adapter=adapter)
            synchronization = client.service_principals.by_service_principal_id(
                place.settings.service_principal_id
            ).synchronization
            await story(client, synchronization.jobs.by_synchronization_job_id(place.settings.job_id))

    asyncio.run(whole())


def test_jobs_are_listed_started_paused_and_shown_with_what_they_did(place):
    async def story(client, job) -> None:
        jobs = client.service_principals.by_service_principal_id(place.settings.service_principal_id).synchronization
        (listed,) = (await jobs.jobs.get()).value
        assert (listed.id, listed.template_id) == (place.settings.job_id, "ServiceNowOutDelta")
        assert listed.status.code.value == "NotRun"
        assert listed.schedule.interval.total_seconds() == 40 * 60
        await job.start.post()
        await place.settled()
        shown = await job.get()
        execution = shown.status.last_execution
        assert execution.state.value == "EntryLevelErrors"  # two of the seeded users are given the same name
        assert execution.count_exports >= execution.count_exported > 0
        assert execution.time_ended >= execution.time_began
        counted = {each.key: each.value for each in shown.status.synchronized_entry_count_by_type}
        assert counted["user to User"] == place.accounts() > 0
        await job.pause.post()
        assert (await job.get()).status.code.value == "Paused"
        await job.start.post()
        assert (await job.get()).schedule.state.value == "Active"

    drive(place, story)


SCOPES = [
    SynchronizationJobRestartScope.Full,
    SynchronizationJobRestartScope.Watermark,
    SynchronizationJobRestartScope.Escrows,
    SynchronizationJobRestartScope.QuarantineState,
    SynchronizationJobRestartScope.ConnectorDataStore,
    SynchronizationJobRestartScope.ForceDeletes,
    None,
]


def test_a_job_is_restarted_with_each_scope(place):
    async def story(_, job) -> None:
        for scope in SCOPES:
            await job.restart.post(RestartBody(criteria=SynchronizationJobRestartCriteria(reset_scope=scope)))
        entries = await place_audits(place)
        assert len(entries) == len(SCOPES)
        assert {each["activityDisplayName"] for each in entries} == {"Enable/restart provisioning configuration"}

    drive(place, story)


async def place_audits(place: ApiPlace) -> list[dict]:
    transport = httpx.ASGITransport(place.web)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return (await client.get("/v1.0/auditLogs/directoryAudits")).json()["value"]


def test_credentials_are_validated_and_what_is_wrong_is_raised(place):
    def basic(password: str):
        pairs = [(SynchronizationSecret.UserName, "admin"), (SynchronizationSecret.Password, password)]
        return CredentialsBody(template_id="ServiceNowOutDelta", credentials=[Secret(key=k, value=v) for k, v in pairs])

    async def story(_, job) -> None:
        await job.validate_credentials.post(CredentialsBody(use_saved_credentials=True))
        await job.validate_credentials.post(basic("admin"))
        with pytest.raises(APIError) as refused:
            await job.validate_credentials.post(basic("wrong-and-not-to-be-repeated"))
        assert refused.value.response_status_code == 400
        assert refused.value.error.code == "ServiceNowCredentialsValidation"
        assert refused.value.error.inner_error.request_id
        assert "not-to-be-repeated" not in refused.value.error.message

    drive(place, story)


def test_the_schema_is_read_changed_put_and_taken_back(place):
    async def story(client, job) -> None:
        schema = await job.schema.get()
        mapping = schema.synchronization_rules[0].object_mappings[0]
        assert mapping.target_object_name == "sys_user"
        mapping.attribute_mappings[-1].default_value = "another"
        await job.schema.patch(schema)  # the client's only way to write, which loses flowTypes
        (stored,) = [
            each
            for rule in (await raw(place, "/schema"))["synchronizationRules"]
            for each in rule["objectMappings"]
            if each["targetObjectName"] == "sys_user"
        ]
        assert stored["flowTypes"] == "Add, Update, Delete"
        assert stored["attributeMappings"][-1]["defaultValue"] == "another"
        # Microsoft's documentation says PUT.
        request = job.schema.to_get_request_information()
        request.http_method = Method.PUT
        document = await raw(place, "/schema")
        document["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"][-1]["defaultValue"] = "third"
        request.set_stream_content(json.dumps(document).encode(), "application/json")
        await client.request_adapter.send_no_response_content_async(request, {})
        again = await job.schema.get()
        assert again.synchronization_rules[0].object_mappings[0].attribute_mappings[-1].default_value == "third"
        await job.schema.delete()
        assert (await job.schema.get()).id == "default"
        names = {each.additional_data["name"] for each in (await job.schema.functions.get()).value}
        assert {"Switch", "Join", "SingleAppRoleAssignment"} <= names
        operators = (await job.schema.filter_operators.get()).value
        assert {each.arity.value for each in operators} == {"Binary", "Unary"}

    drive(place, story)


async def raw(place: ApiPlace, path: str) -> dict:
    transport = httpx.ASGITransport(place.web)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return (await client.get(f"{place.job}{path}")).json()


def test_somebody_is_provisioned_on_demand_and_the_log_says_so(place):
    async def story(client, job) -> None:
        user = next(iter(place.directory.users))
        subject = SynchronizationJobSubject(object_id=user, object_type_name="User")
        answer = await job.provision_on_demand.post(
            OnDemandBody(parameters=[Parameters(rule_id="x", subjects=[subject])])
        )
        told, value = json.loads(answer.key), json.loads(answer.value)
        assert told["result"] in {"Success", "Skipped"}
        assert value["sourceIdentity"]["id"] == user
        await job.start.post()
        await place.settled()
        asked = ProvisioningRequestBuilder.ProvisioningRequestBuilderGetQueryParameters(
            filter="provisioningAction eq 'create' and sourceIdentity/identityType eq 'User'", top=3
        )
        seen, builder = [], client.audit_logs.provisioning
        page = await builder.get(RequestConfiguration(query_parameters=asked))
        while page:
            seen += page.value
            page = await builder.with_url(page.odata_next_link).get() if page.odata_next_link else None
        assert len(seen) == place.accounts() > 3
        assert {each.provisioning_action.value for each in seen} == {"create"}
        assert all(each.source_identity.identity_type == "User" and each.provisioning_steps for each in seen)

    drive(place, story)


def test_settings_are_put_among_the_secrets_and_credentials_are_not(place):
    async def story(client, _) -> None:
        secrets = client.service_principals.by_service_principal_id(
            place.settings.service_principal_id
        ).synchronization.secrets
        pair = Secret(key=SynchronizationSecret.SkipOutOfScopeDeletions, value="True")
        assert await secrets.put(SecretsBody(value=[pair])) is None
        with pytest.raises(APIError) as refused:
            await secrets.put(
                SecretsBody(value=[Secret(key=SynchronizationSecret.Password, value=servicenow.CLIENT_SECRET)])
            )
        assert "Key Vault" in refused.value.error.message

    drive(place, story)
