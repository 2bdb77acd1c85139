"""Airflow's web server trusts its reverse proxy: the identity comes in headers, guarded by a secret.

X-Windtunnel-User, -Role (Admin, Op, User, Viewer, Public) and -Secret. The secret is made for each launch
and known to the proxy alone; the proxy drops these headers from what clients send. Without a valid secret a
request is anonymous. Roles are Airflow's own and are enforced by Airflow.
"""

import hmac
import os

from airflow.configuration import conf
from airflow.providers.fab.auth_manager.security_manager.override import FabAirflowSecurityManagerOverride
from flask import g
from flask_appbuilder.security.manager import AUTH_REMOTE_USER

SECRET = os.environ.get("WINDTUNNEL_WEB_SECRET", "")


class WindtunnelSecurityManager(FabAirflowSecurityManagerOverride):
    """FAB's security manager with a request loader instead of a login form."""

    def create_login_manager(self, *args, **kwargs):
        login_manager = super().create_login_manager(*args, **kwargs)
        login_manager.request_loader(self.load_from_headers)
        return login_manager

    def load_from_headers(self, request):
        """The user that the proxy vouches for, made or given the role on the way; None: nobody."""
        given = request.headers.get("X-Windtunnel-Secret", "")
        name = request.headers.get("X-Windtunnel-User")
        if not SECRET or not name or not hmac.compare_digest(given.encode(), SECRET.encode()):
            return None
        # Writing a user asks who the current user is (audit columns), which leads back here.
        if g.get("windtunnel_loading"):
            return None
        g.windtunnel_loading = True
        try:
            return self.user_with_role(name, request.headers.get("X-Windtunnel-Role", "Public"))
        finally:
            g.windtunnel_loading = False

    def user_with_role(self, name, role_name):
        role = self.find_role(role_name) or self.find_role("Public")
        user = self.find_user(username=name)
        if user is None:
            first, _, last = name.partition("/")
            email = f"{name.replace('/', '.')}@windtunnel.invalid"
            try:
                user = self.add_user(name, first, last or "-", email, role=[role])
            except Exception:  # Airflow 3's; Airflow 2's is False. FAB has logged it and rolled back.
                user = None
            # Of requests side by side, another may have made the user.
            user = user or self.find_user(username=name)
        elif [held.name for held in user.roles] != [role.name]:
            user.roles = [role]
            self.update_user(user)
        return user if user and user.is_active else None


AUTH_TYPE = AUTH_REMOTE_USER
SECURITY_MANAGER_CLASS = WindtunnelSecurityManager
WTF_CSRF_ENABLED = True
# The cookie named `session` is the proxy's, as on MWAA.
SESSION_COOKIE_NAME = "airflow_session"
SQLALCHEMY_DATABASE_URI = conf.get("database", "sql_alchemy_conn")
